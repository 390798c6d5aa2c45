package edgehub

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/logtest"
)

var pair = []string{"a", "b"}

// The metrics and the page say which server lacks how much, and that the hub is not full.
func TestMetricsOfADeadServer(t *testing.T) {
	s := serve(t, Config{Cursors: pair, MaxSamples: 20})
	for i := range int64(50) {
		s.push(at("x", i, i))
		s.get("/metrics?cursor=a&drain=1")
		s.confirm() // so that the other one is left behind for it
	}
	s.says(
		`edgehub_samples_left_behind_total{cursor="a"} 0`, `edgehub_samples_left_behind_total{cursor="b"} 30`,
		`edgehub_cursor_lag_samples{cursor="b",part=""} 20`, "edgehub_pending_samples 0", "edgehub_oldest_pending_seconds 0",
		`edgehub_samples_dropped_total{reason="let_go"} 0`,
	)
	assert.Regexp(t, `cursor "b" +part 1 of 1: 20 samples, \d+ s behind; all parts were left 30 samples behind\n`, s.get("/debug"))
}

// It is said once when a scraper is left behind, and once when it has caught up; a
// scraper that is only slow does not end it.
func TestLeavingBehindIsLoggedOnce(t *testing.T) {
	j := &logtest.Buffer{}
	s := serve(t, Config{Cursors: pair, MaxSamples: 10, MaxScrapeSamples: 3, Logger: j.Logger()})
	push := func(samples int) {
		for range samples {
			s.push("x 1\n")
			pass(s.Hub, 0, 0, 1)
		}
	}
	scrape := func() {
		s.get("/metrics?cursor=b&drain=1")
		s.confirm()
	}
	said := func(behind, back int) {
		t.Helper()
		assert.Equal(t, []int{behind, back}, []int{j.Count("left there"), j.Count("has caught up")})
	}
	said(0, 0)
	for episode := 1; episode <= 2; episode++ {
		push(12)
		scrape()
		push(4)
		scrape()
		said(episode, episode-1)
		scrape()
		scrape()
		said(episode, episode)
	}
	assert.Contains(t, j.String(), "level=WARN msg=\"a scraper is too far behind")
	assert.Contains(t, j.String(), "cursor=b limit=10\n")
	assert.Contains(t, j.String(), "cursor=b samples=3\n")
}

// A hub that drains waits for the one that is behind, too, since it may come back.
func TestDrainWaitsForTheOneBehind(t *testing.T) {
	s := serve(t, Config{Cursors: pair, MaxSamples: 2})
	for i := range int64(3) {
		s.push(at("x", i, i))
		s.get("/metrics?cursor=a&drain=1")
		s.confirm() // so that the other one is left behind for it
	}
	done := s.drain()
	assert.Zero(t, s.Stats().Pending)
	still(t, done)
	answer, text := s.do("GET", "/metrics?cursor=b", "", scrapeTimeout, "10")
	assert.True(t, answer.Close)
	assert.Equal(t, at("x", 1, 1)+at("x", 2, 2), text)
	require.NoError(t, <-done)
}

// Pending yields what some scraper may not have, in the order of a scrape.
func TestPendingYieldsWhatWaits(t *testing.T) {
	s := serve(t, Config{Cursors: pair})
	s.push(at("x", 1, 0) + at("x", 2, 1) + at("a", 3, 2))
	s.get("/metrics?cursor=a&drain=1")
	s.get("/metrics?cursor=b&drain=1&one=1")
	s.confirm()
	var got strings.Builder
	for series, p := range s.Pending() {
		fmt.Fprintf(&got, "%s %v %d\n", series, p.Value, p.Time)
	}
	assert.Equal(t, at("a", 3, 2)+at("x", 2, 1), got.String())
	for range s.Pending() {
		break
	}
	assert.Equal(t, 2, s.Stats().Behind)
	assert.Zero(t, s.Stats().Pending)
}

// A scraper that was away catches up in bites, the oldest first.
func TestBitesAreBoundedAndOldestFirst(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 10})
	for i := range int64(5) {
		s.push(string(fleet(5, 1, base+i)))
	}
	for _, want := range [][]int64{{0, 1}, {2, 3}, {4}, nil} {
		body := s.scrape()
		assert.Equal(t, 5*len(want), strings.Count(body, "gatewayID"))
		for _, i := range want {
			assert.Equal(t, 5, strings.Count(body, fmt.Sprintf(" %d\n", base+i)))
		}
	}
	assert.EqualValues(t, 25, s.Stats().Scraped)
}

// So does one part of several: what counts are its own samples.
func TestBitesOfAPart(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 10})
	for i := range int64(20) {
		s.push(string(fleet(20, 1, base+i)))
	}
	for part := 1; part <= 2; part++ {
		sum := 0
		for {
			n := strings.Count(s.get(partPath(part, 2, "&drain=1")), "gatewayID")
			if sum += n; n < 10 {
				break
			}
			assert.Equal(t, 10, n)
		}
		assert.NotZero(t, sum)
	}
	s.confirm()
	assert.EqualValues(t, 400, s.Stats().Scraped)
	assert.Zero(t, s.Stats().Behind)
}

// A push pays for a scraper that is left behind all the time no more than for its own samples.
//
//	go test ./edgehub -run '^$' -bench BenchmarkIngestBesideADeadServer
func BenchmarkIngestBesideADeadServer(b *testing.B) {
	body := fleet(100, 100, base)
	for _, parts := range []int{1, 10} {
		b.Run(fmt.Sprintf("parts=%d", parts), func(b *testing.B) {
			h := newHub(b, Config{Cursors: pair})
			for part := range parts {
				pass(h, 1, part, parts)
			}
			push := func() {
				ingestAt(b, h, body)
				pass(h, 0, 0, 1)
			}
			for h.Stats().LeftBehind == 0 {
				push()
			}
			b.ReportAllocs()
			for b.Loop() {
				push()
			}
			perSample(b, 100*100)
		})
	}
}
