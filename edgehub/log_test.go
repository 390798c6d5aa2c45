package edgehub

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func (v view) samples() []sample {
	var all []sample
	for s, r := range v.parts() {
		for i := r[0]; i < r[1]; i++ {
			all = append(all, sample{s.ids[i], s.times[i], s.values[i]})
		}
	}
	return all
}

// The log against a plain slice, through random pushes and scrapes.
func TestLogIsASlice(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		cursors := []*cursor{{name: "a"}, {name: "b"}}
		l := newLog(5*segmentSize, cursors)
		var model []sample // everything ever appended
		for range 300 {
			if r.IntN(3) > 0 {
				batch := make([]sample, r.IntN(segmentSize))
				for i := range batch {
					batch[i] = sample{seriesID(r.Uint32()), r.Int64(), r.Float64()}
				}
				room := 5*segmentSize - int(l.waiting())
				err := l.append(batch)
				require.Equal(t, len(batch) <= room, err == nil, "seed %d", seed)
				if err == nil {
					model = append(model, batch...)
				}
				continue
			}
			c := cursors[r.IntN(2)]
			v := l.read(c)
			require.True(t, slices.Equal(model[c.position:], v.samples()), "seed %d", seed)
			if r.IntN(2) == 0 { // as a scrape may, it passes a part only
				to := c.position + uint64(r.IntN(v.len()+1))
				passed := l.advance(c, to)
				require.LessOrEqual(t, passed, uint64(v.len()))
			}
			require.LessOrEqual(t, len(l.segments), int(l.waiting())/segmentSize+2, "segments that every cursor has passed are kept")
		}
	}
}

func TestCursorNeverGoesBack(t *testing.T) {
	c := &cursor{}
	l := newLog(10, []*cursor{c})
	require.NoError(t, l.append(make([]sample, 4)))
	assert.EqualValues(t, 3, l.advance(c, 3))
	assert.EqualValues(t, 0, l.advance(c, 2))
	assert.EqualValues(t, 3, c.position)
}

// A view that a scrape reads stays as it was while the log goes on.
func TestViewOutlivesTheLog(t *testing.T) {
	c := &cursor{}
	l := newLog(1<<20, []*cursor{c})
	batch := make([]sample, 3*segmentSize)
	for i := range batch {
		batch[i].time = int64(i)
	}
	require.NoError(t, l.append(batch))
	v := l.read(c)
	l.advance(c, v.to)
	require.NoError(t, l.append(make([]sample, 3*segmentSize)))
	assert.Equal(t, batch, v.samples())
}
