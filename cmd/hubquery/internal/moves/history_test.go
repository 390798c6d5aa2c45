package moves

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A query about decades is remembered for as many spans as there is room for, the last ones.
func TestHistoryIsBounded(t *testing.T) {
	now := time.Unix(1_796_000_000, 0)
	h := &History{Now: func() time.Time { return now }}
	came := start(now.Add(-5*time.Hour).UnixMilli()) + 7
	begins := []Begin{{"0", 1000}, {"1", came}, {"0", came + 1}}
	h.keep(nil, 0, now.UnixMilli(), &Known{Moved: map[string][]Begin{"gw": begins}})
	assert.Len(t, h.spans, mostSpans)
	assert.Equal(t, 1, h.movers)

	k, since := h.Known(nil, came, now.UnixMilli())
	assert.Equal(t, map[string][]Begin{"gw": begins}, k.Moved)
	assert.Equal(t, start(now.Add(-settled).UnixMilli()), since, "what is later may change")
	k, since = h.Known(nil, came+span.Milliseconds(), came+span.Milliseconds())
	assert.Empty(t, k.Moved)
	assert.Greater(t, since, came+span.Milliseconds())
	_, since = h.Known(nil, 1000, now.UnixMilli())
	assert.Equal(t, int64(1000), since)

	h.keep(nil, start(came), now.UnixMilli(), &Known{})
	assert.Zero(t, h.movers, "asked anew, nobody moved")
}
