package edgehub

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPrometheusThatKeepsOnlyTheFirst(t *testing.T) {
	for _, agent := range []string{"Prometheus/2.52.0", "Prometheus/2.53.0", "Prometheus/2.53.2", "Prometheus/2.54.0", "Prometheus/2.54.0-rc.1"} {
		_, is := onlyFirst(agent)
		assert.True(t, is, agent)
	}
	for _, agent := range []string{"Prometheus/2.51.2", "Prometheus/2.53.3", "Prometheus/2.54.1", "Prometheus/3.15.0", "Prometheus/2.520.0", "curl/8.0", ""} {
		_, is := onlyFirst(agent)
		assert.False(t, is, agent)
	}
}

// Such a server gets one sample of a series in a scrape, the oldest, and the
// others in the scrapes that follow; another scraper gets all at once.
func TestOneAtATime(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"old", "new"}})
	for i := range int64(3) {
		s.push(at("often", i, i))
	}
	s.push(at("seldom", 7, 0))
	scrape := func(cursor, agent string) string {
		t.Helper()
		_, text := s.do("GET", "/metrics?cursor="+cursor, "", timeoutHeader, "10", "User-Agent", agent)
		return text
	}
	const old, recent = "Prometheus/2.53.1", "Prometheus/3.15.0"
	assert.Equal(t, at("often", 0, 0)+at("seldom", 7, 0), scrape("old", old))
	assert.Equal(t, at("often", 1, 1), scrape("old", old))
	s.push(at("seldom", 8, 1))
	assert.Equal(t, at("often", 2, 2)+at("seldom", 8, 1), scrape("old", old))
	assert.Empty(t, scrape("old", old))
	assert.Equal(t, at("often", 0, 0)+at("often", 1, 1)+at("often", 2, 2)+at("seldom", 7, 0)+at("seldom", 8, 1), scrape("new", recent))
	s.get("/-/ready")
	assert.EqualValues(t, 10, s.Stats().Scraped)
	assert.Zero(t, s.Stats().Pending)
	assert.Contains(t, s.get("/internal"), "edgehub_scrapes_one_at_a_time_total 4\n")
}

// What waits for such a server counts as pending, survives a change of the number
// of parts and the expiry of series, and goes to the server that follows it.
func TestHeldSamplesAreKept(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	now := h.started
	for i := range int64(4) {
		_, err := h.ingest([]byte(at("x", i, i)+at("y", i, i)), now)
		require.NoError(t, err)
	}
	s := h.scrapers[""]
	old := request{parts: 1, onlyFirst: true}
	assert.Equal(t, []string{line("x", 0), line("y", 0)}, drainPart(h, now, s, s.parts[0], old))
	assert.Equal(t, 6, h.Stats().Pending)
	now = now.Add(3 * time.Hour)
	h.sweep(now)
	assert.Equal(t, 2, h.Stats().Series)
	var got []string
	for part := range 2 {
		c, _ := h.log.cursor(s, part, 2, h.cfg.MaxScrapeSamples)
		got = append(got, drainPart(h, now, s, c, request{part: part, parts: 2})...)
	}
	assert.ElementsMatch(t, []string{line("x", 1), line("x", 2), line("x", 3), line("y", 1), line("y", 2), line("y", 3)}, got)
	assert.Zero(t, h.Stats().Pending)
}

func line(series string, i int64) string { return fmt.Sprintf("%s %d %d", series, i, base+i) }
