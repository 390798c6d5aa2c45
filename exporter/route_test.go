package exporter

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

// Lanes are moved a few at a time. What is taken meanwhile of the outbox that they leave or
// come to is of those that belong there.
func TestLanesMoveAFewAtATime(t *testing.T) {
	r, all := crowdedRouter(t, 3, 2000, nil)
	back := all[0]
	r.failed(back, back.life, nil, push.Result{Outcome: push.TryNext}, later())
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
	task, f, wait := r.next(all[1], later())
	for task == sleep && wait == 0 {
		task, f, wait = r.next(all[1], later())
	}
	require.Equal(t, transmit, task)
	for _, p := range f.batch {
		assert.Equal(t, all[1].hub.Name, r.ring.Owner(p.key).Name, "its home is another one")
	}
	require.NoError(t, r.submit(parcelsOf(nil, bodiesOf(reports(2, f.batch[0].key)...)), &[reason.NumEncoding]encode.Dropped{}, nil, time.Now()))
	r.cut(f.batch)
	r.landed(all[1], f)
	r.reroute(m)
	assert.Empty(t, checkRouter(r))
	assert.Len(t, back.waiting, 2000-len(all[1].waiting)-len(all[2].waiting))
	for _, l := range back.waiting {
		assert.Equal(t, back.hub.Name, r.ring.Owner(l.key).Name)
	}
}

// A lane that is forgotten while lanes are moved leaves no other one out.
func TestLanesThatEndWhileOthersMove(t *testing.T) {
	for gone := range 4 {
		r, all := crowdedRouter(t, 2, 4*lanesAtOnce, nil)
		_, known := r.down(all[0], all[0].life, push.Result{Outcome: push.TryNext}, later())
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
		assert.Empty(t, checkRouter(r))
		assert.Empty(t, all[0].waiting)
	}
}

// blockedHandler is a slog.Handler that writes when it is let.
type blockedHandler struct {
	slog.Handler
	let chan struct{}
}

func (h blockedHandler) Handle(ctx context.Context, r slog.Record) error {
	<-h.let
	return h.Handler.Handle(ctx, r)
}

// A logger that hangs keeps no Submit waiting. What it missed is counted.
func TestSubmitDoesNotWaitForTheLogger(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f, log, let := newFleet(1), &logtest.Buffer{}, make(chan struct{})
		h := start(t, f, func(c *Config) {
			c.Logger = slog.New(blockedHandler{slog.NewTextHandler(log, nil), let})
		})
		for range 10 * queuedLines { // of a kind no more than one in ten seconds is wanted
			var rejected *RejectedError
			require.ErrorAs(t, h.e.Submit(t.Context(), []magma.MetricAndContext{{Family: nil}}), &rejected)
			bubble.Pass(10 * time.Second)
		}
		close(let)
		bubble.Pass(time.Second)
		assert.Contains(t, log.String(), "Samples cannot be sent")
		assert.Contains(t, log.String(), "lines_missed=")
		require.NoError(t, h.stop())
	})
}
