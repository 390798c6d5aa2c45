package edgehub

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var soak = flag.Duration("soak", 2*time.Second, "how long TestEverySampleIsScrapedOncePerCursor pushes")

const (
	soakPushers = 64
	soakSeries  = 20 // of a pusher, and a new one with each push
	soakPushed  = soakSeries + 1
	leastPushes = 10 // of each, however slow the machine is
)

// reader scrapes one part of one scraper. Pushers count up, so each of its series
// must come as 0, 1, 2 and so on.
type reader struct {
	path   string
	client *http.Client
	next   map[string]int
	skips  bool // samples may be missing before others
	lines  int
}

func (r *reader) scrape(t *testing.T, url string) {
	answer, err := r.client.Get(url + r.path)
	if !assert.NoError(t, err) {
		return
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		i, err := strconv.Atoi(fields[1])
		if !assert.NoError(t, err) {
			return
		}
		if next := r.next[fields[0]]; i < next || i > next && !r.skips {
			assert.Equal(t, next, i, "%s: %s", r.path, lines.Text())
			return
		}
		r.next[fields[0]] = i + 1
		r.lines++
	}
	assert.NoError(t, lines.Err())
}

func oneConnection(t *testing.T) *http.Client {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// Many senders push, new series all the time, while two scrapers of two parts each scrape, a
// third one is dead most of the time, somebody looks and series expire: each of the two
// gets every accepted sample once, the third one some of them once, and what it was left
// behind is counted.
//
//	go test -race ./edgehub -run TestEverySampleIsScrapedOncePerCursor -soak=30s
func TestEverySampleIsScrapedOncePerCursor(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b", "dead"}, MaxSamples: 40 * soakPushers * soakPushed, MaxScrapeSamples: 5000, IdleSeries: time.Second})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	var reading sync.WaitGroup
	var readers []*reader
	for _, cursor := range []string{"a", "b"} {
		for part := 1; part <= 2; part++ {
			readers = append(readers, &reader{
				path:   fmt.Sprintf("/metrics?drain=1&cursor=%s&part=%d&parts=2", cursor, part),
				client: oneConnection(t), next: map[string]int{},
			})
		}
	}
	for _, r := range readers {
		reading.Go(func() {
			for ctx.Err() == nil && !t.Failed() {
				r.scrape(t, s.url)
			}
		})
	}
	dead := &reader{path: "/metrics?drain=1&cursor=dead", client: oneConnection(t), next: map[string]int{}, skips: true}
	looker := oneConnection(t)
	reading.Go(func() {
		for ctx.Err() == nil {
			answer, err := looker.Get(s.url + "/debug?verbose")
			if assert.NoError(t, err) {
				answer.Body.Close()
			}
		}
	})

	var pushed [soakPushers]int
	var pushing sync.WaitGroup
	end := time.Now().Add(*soak)
	for p := range pushed {
		client := oneConnection(t)
		pushing.Go(func() {
			for (time.Now().Before(end) || pushed[p] <= leastPushes) && !t.Failed() {
				awaitScrapers(t, s.Hub, "a", "b")
				if soakPush(t, client, s.url, p, pushed[p]) {
					pushed[p]++
				}
			}
		})
	}
	pushing.Wait()
	stop()
	reading.Wait()

	total := 0
	for _, n := range pushed {
		total += n * soakPushed
	}
	require.Greater(t, total, leastPushes*soakPushers*soakPushed)
	stats := s.Stats()
	assert.EqualValues(t, max(0, total-s.cfg.MaxSamples), stats.LeftBehind, "the dead one lacks what had no room, and no other lacks anything")
	for s.Stats().Behind > 0 && !t.Failed() {
		for _, r := range append(readers, dead) {
			r.scrape(t, s.url)
		}
	}
	stats = s.Stats()
	assert.EqualValues(t, total, stats.Received)
	assert.EqualValues(t, 3*total, stats.Scraped+stats.LeftBehind)
	assert.EqualValues(t, total, uint64(dead.lines)+stats.LeftBehind)
	for i := 0; i < len(readers); i += 2 {
		assert.Equal(t, total, readers[i].lines+readers[i+1].lines, readers[i].path)
		for p, n := range pushed {
			for series := range soakSeries {
				name := soakName(p, series)
				one, other := readers[i].next[name], readers[i+1].next[name]
				require.Equal(t, n, one+other, "%s of %s", name, readers[i].path)
				require.True(t, one == 0 || other == 0, "%s came in both parts", name)
			}
		}
	}
	t.Logf("%d samples, %d series expired", total, s.store.Expired())
}

// awaitScrapers waits until none of some scrapers is so far behind that the pushes under
// way could leave it there.
func awaitScrapers(t *testing.T, h *Hub, names ...string) {
	stuck := time.NewTimer(30 * time.Second)
	defer stuck.Stop()
	for {
		_, moved := h.store.Log.Left()
		most := 0
		for _, lag := range h.store.Log.Lags() {
			if slices.Contains(names, lag.Scraper) {
				most = max(most, lag.Samples)
			}
		}
		if most <= h.cfg.MaxSamples/2 {
			return
		}
		select {
		case <-moved:
		case <-stuck.C:
			assert.Fail(t, "no scraper moves", "%d samples wait", most)
			return
		}
	}
}

func soakName(pusher, series int) string {
	return fmt.Sprintf(`x{gatewayID="%d",n="%d"}`, pusher, series)
}

// soakPush says whether the push was taken; it is all or nothing.
func soakPush(t *testing.T, client *http.Client, url string, pusher, i int) bool {
	var body strings.Builder
	for n := range soakSeries {
		body.WriteString(at(soakName(pusher, n), i, int64(i)))
	}
	body.WriteString(at(fmt.Sprintf(`new{gatewayID="%d",push="%d"}`, pusher, i), 0, int64(i)))
	answer, err := client.Post(url+"/metrics", "text/plain", strings.NewReader(body.String()))
	if !assert.NoError(t, err) {
		return false
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusTooManyRequests {
		assert.Equal(t, http.StatusOK, answer.StatusCode)
	}
	return answer.StatusCode == http.StatusOK
}
