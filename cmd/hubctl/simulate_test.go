package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fleet goes through everything that a schedule can say: nothing moves
// between hubs that work, what comes back gets its own, and a dead hub that is
// taken off the list moves nothing.
func TestSimulationKeepsThePromises(t *testing.T) {
	events, err := parseSchedule("fail:2,heal,fail:3,retire,grow:3,shrink:2,fail:1,fail:1,grow:1,heal", 12)
	require.NoError(t, err)
	s := newSimulation(30_000, 12, 1, newProgress(terminal{err: &bytes.Buffer{}}, 1))
	byKind := map[string]stepReport{}
	for _, e := range append([]event{{kind: "start"}}, events...) {
		require.NoError(t, s.step(t.Context(), e))
		r := s.done[len(s.done)-1]
		assert.Zero(t, r.strays, "%s", e)
		assert.Less(t, float64(r.most), 1.2*r.average, "%s", e)
		if e.kind != "retire" && e.kind != "start" {
			assert.InEpsilon(t, r.needed, r.moved, 0.15, "%s", e)
			assert.LessOrEqual(t, float64(r.takeover), 1.25*r.evenTakeover, "%s", e)
		}
		byKind[e.String()] = r
	}
	assert.Zero(t, byKind["retire"].moved)
	assert.Equal(t, 10, byKind["fail:2"].up)
	assert.NotZero(t, byKind["grow:3"].build)
	assert.Zero(t, byKind["fail:3"].build, "failover builds nothing")
}

func TestSimulationIsTheSameForTheSameSeed(t *testing.T) {
	table := func(seed uint64) string {
		s := newSimulation(2000, 5, seed, newProgress(terminal{err: &bytes.Buffer{}}, 1))
		require.NoError(t, s.step(t.Context(), event{kind: "fail", count: 1}.first(t, s)))
		s.done[0].build = 0
		var out bytes.Buffer
		require.NoError(t, printSteps(&out, s.done))
		return out.String()
	}
	once, again := table(7), table(7)
	assert.Equal(t, once, again)
	assert.NotEqual(t, once, table(8))
}

// first takes the simulation through its start, which a step needs before it.
func (e event) first(t *testing.T, s *simulation) event {
	require.NoError(t, s.step(t.Context(), event{kind: "start"}))
	s.done = nil
	return e
}

func TestSimulateStopsInTheMiddle(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	errOut := &cancelAt{word: "heal", cancel: cancel}
	var out bytes.Buffer
	code := run(ctx, []string{"simulate", "--gateways=1000", "--hubs=5", "--schedule=fail:1,heal,fail:2"}, terminal{out: &out, err: errOut})
	assert.Equal(t, exitFailed, code)
	assert.Contains(t, errOut.String(), "stopped after 2 of 4 steps")
	assert.Contains(t, out.String(), "fail:1", "what was done is shown")
	assert.NotContains(t, out.String(), "fail:2")
}

// cancelAt cancels when a word is written to it.
type cancelAt struct {
	bytes.Buffer
	word   string
	cancel func()
}

func (c *cancelAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), c.word) {
		c.cancel()
	}
	return c.Buffer.Write(p)
}

func TestProgressOnATerminalIsOneLine(t *testing.T) {
	var errOut bytes.Buffer
	code := run(t.Context(), []string{"simulate", "--gateways=1000", "--hubs=3", "--schedule=grow:1"}, terminal{out: &bytes.Buffer{}, err: &errOut, live: true})
	assert.Zero(t, code)
	assert.NotContains(t, errOut.String(), "\n")
	assert.Contains(t, errOut.String(), "] ")
	assert.True(t, strings.HasSuffix(errOut.String(), "\r\x1b[K"), "the bar is gone at the end")
}
