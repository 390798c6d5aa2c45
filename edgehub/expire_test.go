package edgehub

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// drain reads everything as a scrape at a time would, and returns the lines.
func drain(h *Hub, now time.Time) []string {
	c := h.cursors[""]
	v := h.log.read(c)
	a := arrange(v, h.table.ranked(), 0, now.Add(time.Hour).UnixMilli())
	var lines []string
	for chunk := range a.lines() {
		lines = append(lines, strings.Split(strings.TrimSuffix(string(chunk), "\n"), "\n")...)
	}
	passed := h.log.advance(c, v.to)
	h.metrics.handedOver(c, passed, a)
	h.table.touch(a.counts, now)
	h.sweep(now)
	return lines
}

func TestIdleSeriesAreForgotten(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	now := h.started
	push := func(body string) {
		t.Helper()
		_, err := h.ingest([]byte(body), now)
		require.NoError(t, err)
	}
	push("# TYPE gone gauge\ngone 1\nstays 1\nodd_bucket{le=\"x\"} 1\n")
	drain(h, now)
	for range 5 {
		now = now.Add(20 * time.Minute)
		push("stays 1\n")
		drain(h, now)
	}
	assert.Equal(t, 1, h.Stats().Series)
	assert.Len(t, h.table.families, 1)
	assert.Len(t, h.table.spellings, 1)

	// Its number is used again, and the sender that comes back is a new series.
	push("# TYPE gone gauge\ngone 2\nstays 2\nnew 3\n")
	stamp := strconv.FormatInt(now.UnixMilli(), 10)
	assert.Equal(t, []string{"# TYPE gone gauge", "gone 2 " + stamp, "new 3 " + stamp, "stays 2 " + stamp}, drain(h, now))
	assert.Len(t, h.table.byID, 3)
}

// While no scraper comes, nothing that waits may lose its name.
func TestWaitingSeriesAreKept(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	now := h.started
	_, err := h.ingest([]byte("x 1 5\n"), now)
	require.NoError(t, err)
	now = now.Add(24 * time.Hour)
	h.sweep(now)
	assert.Equal(t, []string{"x 1 5"}, drain(h, now))
	assert.Equal(t, 1, h.Stats().Series, "it was scraped just now")
	h.sweep(now.Add(2 * time.Hour))
	assert.Zero(t, h.Stats().Series)
}
