package trial

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

func TestStates(t *testing.T) {
	var s states
	want := make(map[series.ID]state)
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20_000 {
		id, to := series.ID(rnd.IntN(5000)), state(rnd.IntN(4))
		s.set(id, to)
		want[id] = to
	}
	for id := range series.ID(10_000) {
		require.Equal(t, want[id], s.of(id))
	}
	for _, in := range []state{proven, grouped, aside} {
		all := slices.Collect(s.all(in))
		assert.True(t, slices.IsSorted(all))
		for _, id := range all {
			assert.Equal(t, in, want[id])
			delete(want, id)
		}
	}
	for id, left := range want {
		assert.Equal(t, fresh, left, id)
	}
	s.unprove()
	assert.Empty(t, slices.Collect(s.all(proven)))
	assert.NotEmpty(t, slices.Collect(s.all(aside)))
}

func TestSet(t *testing.T) {
	ids := []series.ID{0, 63, 64, 200}
	s := newSet(ids)
	for id := range series.ID(400) {
		assert.Equal(t, slices.Contains(ids, id), s.has(id))
	}
	in, out := s.part([]series.ID{1, 63, 200, 201})
	assert.Equal(t, []series.ID{63, 200}, in)
	assert.Equal(t, []series.ID{1, 201}, out)
	assert.False(t, newSet(nil).has(0))
}
