package hashring

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCompareAddsUp(t *testing.T) {
	for _, sizes := range [][2]int{{3, 5}, {5, 3}, {1, 10}, {4, 4}} {
		loads := fleet(1, 347)
		before, after := mustNew(t, hubs(sizes[0])), mustAssign(t, mustNew(t, hubs(sizes[1])), loads)
		p, err := Compare(before, after, loads, 5*time.Minute, 24*time.Hour)
		require.NoError(t, err)

		net, moved := map[string]int{}, 0
		for _, m := range p.Moves {
			net[m.From] -= m.Series
			net[m.To] += m.Series
			moved += m.Series
		}
		assert.Equal(t, p.MovedSeries, moved)
		assert.Len(t, p.Nodes, max(sizes[0], sizes[1]))
		beforeSum, afterSum, keys := 0, 0, 0
		for _, n := range p.Nodes {
			assert.Equal(t, n.After.Series-n.Before.Series, net[n.Name], n.Name)
			beforeSum, afterSum, keys = beforeSum+n.Before.Series, afterSum+n.After.Series, keys+n.After.Keys
		}
		assert.Equal(t, p.Series, beforeSum)
		assert.Equal(t, p.Series, afterSum)
		assert.Equal(t, 348, keys)
		assert.InDelta(t, float64(p.Series)/float64(sizes[1]), p.After.Average, 1e-6)
		assert.LessOrEqual(t, float64(p.After.Most), p.After.Average+1000)
		assert.Equal(t, p.After.Most, seriesByNode(after, loads)[p.After.Busiest])
	}
}

func TestCompareKnowsTheLeast(t *testing.T) {
	weights := func(w ...float64) []Node {
		nodes := hubs(len(w))
		for i := range w {
			nodes[i].Weight = w[i]
		}
		return nodes
	}
	least := func(from, to []Node, want float64) {
		t.Helper()
		p, err := Compare(mustNew(t, from), mustNew(t, to), fleet(1, 3), 0, 0)
		require.NoError(t, err)
		assert.InDelta(t, want, p.LeastShare, 1e-12)
	}
	least(hubs(3), hubs(5), 2.0/5)
	least(hubs(10), hubs(9), 1.0/10)
	least(hubs(4), hubs(4), 0)
	least(weights(1, 1), weights(1, 3), 1.0/4)
	least([]Node{{Name: "a"}}, []Node{{Name: "b"}}, 1)
}

func TestCompareOfTheSameMovesNothing(t *testing.T) {
	r := mustNew(t, hubs(3))
	p, err := Compare(r, r, fleet(1, 347), time.Minute, time.Hour)
	require.NoError(t, err)
	assert.Empty(t, p.Moves)
	assert.Zero(t, p.DoubledFor)
	assert.Zero(t, p.SplitFor)
	assert.Equal(t, p.Before, p.After)
}

func TestCompareReportsEveryFault(t *testing.T) {
	r := mustNew(t, hubs(3))
	_, err := Compare(r, r, []Load{{"a", 1}, {"a", -1}}, -time.Second, -time.Hour)
	for _, want := range []string{"listed twice", "has -1 series", "lookback is -1s", "retention is -1h0m0s"} {
		assert.ErrorContains(t, err, want)
	}
}
