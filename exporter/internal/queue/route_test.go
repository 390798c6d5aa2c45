package queue

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// Lanes are moved a few at a time. What is taken meanwhile of the outbox that they leave or
// come to is of those that belong there.
func TestLanesMoveAFewAtATime(t *testing.T) {
	r, all := crowded(t, 3, 2000, nil)
	back := all[0]
	r.Failed(back, back.life, nil, "", 0, later())
	require.Empty(t, back.waiting)
	moved := len(all[1].waiting) + len(all[2].waiting)
	require.Equal(t, 2000, moved)

	_, known := r.up(back, later())
	require.True(t, known)
	require.Empty(t, back.waiting, "nothing has moved yet")
	m := newMoves()
	require.True(t, r.rerouteSome(m))
	assert.LessOrEqual(t, len(back.waiting), lanesAtOnce)
	all[1].pace.on = false
	task, f, wait := r.Next(all[1], later())
	for task == Sleep && wait == 0 {
		task, f, wait = r.Next(all[1], later())
	}
	require.Equal(t, Transmit, task)
	for _, p := range f.Batch {
		assert.Equal(t, all[1].Hub.Name, r.ring.Owner(p.Key).Name, "its home is another one")
	}
	require.NoError(t, submitted(r, 1, f.Batch[0].Key))
	r.Cut(f.Batch)
	r.Landed(all[1], f)
	r.reroute(m)
	assert.Empty(t, r.Faults())
	assert.Len(t, back.waiting, 2000-len(all[1].waiting)-len(all[2].waiting))
	for _, l := range back.waiting {
		assert.Equal(t, back.Hub.Name, r.ring.Owner(l.key).Name)
	}
}

// A lane that is forgotten while lanes are moved leaves no other one out.
func TestLanesThatEndWhileOthersMove(t *testing.T) {
	for gone := range 4 {
		r, all := crowded(t, 2, 4*lanesAtOnce, nil)
		_, known := r.down(all[0], all[0].life, "", 0, later())
		require.True(t, known)
		r.rerouteSome(nil)
		for at := gone * (lanesAtOnce - 1); len(r.all) > at+10; { // before, at and behind what is looked at next
			r.mu.Lock()
			r.dropWaitingLocked(r.all[at].first, reason.Overflow)
			r.mu.Unlock()
			if len(r.all)%7 == 0 {
				r.rerouteSome(nil)
			}
		}
		r.reroute(nil)
		assert.Empty(t, r.Faults())
		assert.Empty(t, all[0].waiting)
	}
}
