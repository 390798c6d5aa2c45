package shard

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"
)

const interval = 100 * time.Millisecond

// fakeHub answers each scrape with the next of some bodies, and with nothing
// after the last.
type fakeHub struct {
	*httptest.Server
	scrapes chan *http.Request
}

func newFakeHub(t *testing.T, bodies ...string) *fakeHub {
	hub := &fakeHub{scrapes: make(chan *http.Request, 1000)}
	var served atomic.Int64
	hub.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hub.scrapes <- r
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		if n := int(served.Add(1)) - 1; n < len(bodies) {
			_, _ = io.WriteString(w, bodies[n])
		}
	}))
	t.Cleanup(hub.Close)
	return hub
}

// waitFor returns the n-th request to come. What earlier scrapes brought is
// stored by then.
func (h *fakeHub) waitFor(t *testing.T, n int) *http.Request {
	for {
		select {
		case r := <-h.scrapes:
			if n--; n == 0 {
				return r
			}
		case <-time.After(10 * time.Second):
			require.FailNow(t, "the shard does not scrape")
		}
	}
}

func open(t *testing.T, hub *fakeHub) *Shard {
	s, err := Open(Config{Target: hub.Listener.Addr().String(), Interval: interval, Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// union reads shards into lines such as `{__name__="a"} 1@1000[0]`.
func union(t *testing.T, shards ...*Shard) []string {
	var lines []string
	require.NoError(t, Union(t.Context(), shards, func(series labels.Labels, samples []Sample) bool {
		if series.Get("job") == Job {
			return true // about the scrape itself
		}
		var line strings.Builder
		line.WriteString(series.String())
		for _, s := range samples {
			fmt.Fprintf(&line, " %v@%d[%d]", s.Value, s.Time, s.Shard)
		}
		lines = append(lines, line.String())
		return true
	}))
	return lines
}

func TestShardStoresWhatTheHubServes(t *testing.T) {
	now := time.Now().UnixMilli()
	hub := newFakeHub(t,
		fmt.Sprintf("# TYPE a gauge\na{gatewayID=\"g\"} 1 %d\na{gatewayID=\"g\"} 2 %d\n", now-20, now-10),
		fmt.Sprintf("a{gatewayID=\"g\"} 3 %d\n", now),
	)
	s := open(t, hub)
	request := hub.waitFor(t, 1)
	require.NotEmpty(t, request.Header.Get("X-Prometheus-Scrape-Timeout-Seconds"), "a hub tells scrapers by it")
	hub.waitFor(t, 2)

	require.Equal(t, []string{fmt.Sprintf(`{__name__="a", gatewayID="g"} 1@%d[0] 2@%d[0] 3@%d[0]`, now-20, now-10, now)}, union(t, s))
	require.Greater(t, s.SeriesCount(), 1)
}

// A gateway that moved sends through another hub, sometimes late, and its series
// must stay the same series: without the target's job and instance.
func TestLateSamplesAndLabelsOfThePusherAreKept(t *testing.T) {
	now := time.Now().UnixMilli()
	hub := newFakeHub(t,
		fmt.Sprintf("a 2 %d\nb{instance=\"x\",job=\"y\"} 2 %[1]d\n", now),
		fmt.Sprintf("a 1 %d\n", now-time.Minute.Milliseconds()),
	)
	s := open(t, hub)
	hub.waitFor(t, 3)

	require.Equal(t, []string{
		fmt.Sprintf(`{__name__="a"} 1@%d[0] 2@%d[0]`, now-time.Minute.Milliseconds(), now),
		fmt.Sprintf(`{__name__="b", instance="x", job="y"} 2@%d[0]`, now),
	}, union(t, s))
}

func TestUnionYieldsASeriesOfTwoShardsOnce(t *testing.T) {
	now := time.Now().UnixMilli()
	one := newFakeHub(t, fmt.Sprintf("a 1 %d\nm 1 %[1]d\n", now-10))
	two := newFakeHub(t, fmt.Sprintf("m 1 %d\nm 2 %d\nz 1 %[2]d\n", now-10, now))
	first, second := open(t, one), open(t, two)
	one.waitFor(t, 2)
	two.waitFor(t, 2)

	require.Equal(t, []string{
		fmt.Sprintf(`{__name__="a"} 1@%d[0]`, now-10),
		fmt.Sprintf(`{__name__="m"} 1@%d[0] 1@%d[1] 2@%d[1]`, now-10, now-10, now),
		fmt.Sprintf(`{__name__="z"} 1@%d[1]`, now),
	}, union(t, first, second))
}

func TestCloseRemovesTheDirectory(t *testing.T) {
	hub := newFakeHub(t)
	dir := t.TempDir()
	s, err := Open(Config{Target: hub.Listener.Addr().String(), Interval: interval, Dir: dir})
	require.NoError(t, err)
	hub.waitFor(t, 1)
	require.NoError(t, s.Close())
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestOpenRefusesWhatPrometheusRefuses(t *testing.T) {
	dir := t.TempDir()
	_, err := Open(Config{Target: "127.0.0.1:1", Dir: dir, Interval: -time.Second})
	require.ErrorContains(t, err, "scrape configuration")
	require.ErrorContains(t, err, "127.0.0.1:1")
}
