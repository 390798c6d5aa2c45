package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
	"github.com/hubring/hubring/internal/exposition"
)

// small is a demo that ends in seconds.
func small(t *testing.T, out io.Writer) Config {
	logger := promslog.NewNopLogger()
	if testing.Verbose() {
		logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return Config{
		Hubs: 3, Gateways: 12, Interval: 200 * time.Millisecond, Listen: "127.0.0.1:0",
		For: 3 * time.Second, KillHub: -1, Dir: t.TempDir(), Out: out, Logger: logger,
	}
}

// realExporter serves metrics of every type, as a program with a client library.
func realExporter(t *testing.T) string {
	registry := prometheus.NewRegistry()
	latency := prometheus.NewSummary(prometheus.SummaryOpts{Name: "latency_seconds", Objectives: map[float64]float64{0.5: 0.1, 1: 0}})
	sizes := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "size_bytes", Buckets: []float64{1, 10, 1e6}}, []string{"path"})
	sizes.WithLabelValues("a \"quoted\\ path\n").Observe(3)
	events := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "events_total"}, []string{"gatewayID", "empty"})
	events.WithLabelValues("hides behind the gateway's own", "").Inc()
	registry.MustRegister(latency, sizes, events, prometheus.NewGauge(prometheus.GaugeOpts{Name: "level", Help: "A \\ help\ntext."}))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAKilledHubLosesNothingThatIsNotAccountedFor(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	// However slow the machine is, it goes on for four reports after the return, so that gateways
	// come home.
	out := &trigger{on: []string{"is back", "submitted", "submitted", "submitted", "submitted"}, do: cancel}
	cfg := small(t, out)
	cfg.For = 0
	cfg.Scrape = []string{realExporter(t)}
	d := newDemo(cfg)
	defer func() { require.NoError(t, d.close()) }()
	d.chaos = &chaos{hub: 1, after: 1500 * time.Millisecond, down: 700 * time.Millisecond}
	require.NoError(t, d.build())
	undelivered, err := d.operate(ctx)
	require.NoError(t, err)
	d.drain()
	require.NoError(t, d.conclude(undelivered), out.text.String())
	status, err := http.Get("http://" + d.address + statusPath)
	require.NoError(t, err)
	page, err := io.ReadAll(status.Body)
	require.NoError(t, errors.Join(err, status.Body.Close()))
	require.Contains(t, string(page), "edgehub-1")

	text := out.text.String()
	t.Log(text)
	require.Contains(t, text, "edgehub-1 was killed: its connections are cut")
	require.Contains(t, text, "edgehub-1 is back")
	require.Contains(t, text, "The account adds up: nothing lost, nothing counted twice.")
	// 12 × 303 of the fleet; summary 4, histogram 6, counter 1, gauge 1.
	require.Regexp(t, `count\(\{gatewayID!=""\}\) by the query API +3,648\n`, text)
	require.Regexp(t, `Who took over its [1-9]`, text)
	require.Regexp(t, `died with the hub +0\n`, text)
}

func TestAnInterruptedDemoStillAccounts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	out := &trigger{on: []string{"submitted"}, do: cancel}
	cfg := small(t, out)
	cfg.For = 0
	require.NoError(t, run(ctx, cfg), out.text.String())
	require.Contains(t, out.text.String(), "The account adds up")
	left, err := os.ReadDir(cfg.Dir)
	require.NoError(t, err)
	require.Empty(t, left, "the shards clean up")
}

// --placement=consistent: the exporter's ring is the circle's, and the account adds up.
func TestTheCircleOfALibrary(t *testing.T) {
	var out bytes.Buffer
	cfg := small(t, &out)
	cfg.For, cfg.Placement = time.Second, "consistent/partitions=1021/replicas=50"
	d := newDemo(cfg)
	defer func() { require.NoError(t, d.close()) }()
	require.NoError(t, d.build())
	undelivered, err := d.operate(t.Context())
	require.NoError(t, err)
	d.drain()
	require.NoError(t, d.conclude(undelivered), out.String())

	ring, err := consistent.New([]hashring.Node{{Name: "edgehub-0"}, {Name: "edgehub-1"}, {Name: "edgehub-2"}}, consistent.Config{PartitionCount: 1021, ReplicationFactor: 50})
	require.NoError(t, err)
	status, err := http.Get("http://" + d.address + statusPath)
	require.NoError(t, err)
	page, err := io.ReadAll(status.Body)
	require.NoError(t, errors.Join(err, status.Body.Close()))
	require.Contains(t, string(page), fmt.Sprintf("%016x", ring.Fingerprint()))
}

// Somebody who tries a hub with curl has done nothing wrong.
func TestAGuestWhoPushesToAHubIsCountedApart(t *testing.T) {
	var out bytes.Buffer
	cfg := small(t, &out)
	cfg.For = 2 * time.Second
	d := newDemo(cfg)
	defer func() { require.NoError(t, d.close()) }()
	require.NoError(t, d.build())
	response, err := http.Post("http://"+d.hosts[0].addr+"/metrics", "text/plain", strings.NewReader("a{gatewayID=\"guest\"} 1\n"))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	undelivered, err := d.operate(t.Context())
	require.NoError(t, err)
	d.drain()
	require.NoError(t, d.conclude(undelivered), out.String())
	require.Regexp(t, `of other gateways, which somebody else pushed +1\n`, out.String())
}

// trigger is a screen that does something when the last of its texts, each in a
// later line than the one before, has appeared. The demo writes to it from one
// goroutine at a time.
type trigger struct {
	text bytes.Buffer
	on   []string
	do   func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if len(w.on) > 0 && strings.Contains(string(p), w.on[0]) {
		if w.on = w.on[1:]; len(w.on) == 0 {
			w.do()
		}
	}
	return w.text.Write(p)
}

// The account has to notice what everybody involved believes to be fine: a hub
// that says yes to a push and forgets it.
func TestAHubThatLiesIsFound(t *testing.T) {
	var out bytes.Buffer
	cfg := small(t, &out)
	cfg.For = time.Second
	d := newDemo(cfg)
	d.wrapHub = func(honest http.Handler) http.Handler {
		var pushes atomic.Int64
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && pushes.Add(1) == 2 {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set(exposition.HubHeader, "edgehub/liar")
				return
			}
			honest.ServeHTTP(w, r)
		})
	}
	defer func() { require.NoError(t, d.close()) }()
	require.NoError(t, d.build())
	undelivered, err := d.operate(t.Context())
	require.NoError(t, err)
	d.drain()
	require.ErrorIs(t, d.conclude(undelivered), errAccount)
	require.Regexp(t, `FAILED: \d+ \(such as of \{.*\}\) submitted samples are in no shard`, out.String())
}

// A hub has something left until its shard has stored it. The account would call lost what is on its way.
func TestWhatIsOnItsWayIsWaitedFor(t *testing.T) {
	var out bytes.Buffer
	d := newDemo(small(t, &out))
	onItsWay, goOn := make(chan struct{}), make(chan struct{})
	d.wrapHub = func(honest http.Handler) http.Handler {
		var pushed atomic.Bool
		var once sync.Once
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				honest.ServeHTTP(w, r)
				pushed.Store(true)
				return
			}
			is := pushed.Load() && r.URL.Path == "/metrics"
			honest.ServeHTTP(w, r)
			if is { // all of it is written, but for the end
				once.Do(func() {
					close(onItsWay)
					<-goOn
				})
			}
		})
	}
	defer func() { require.NoError(t, d.close()) }()
	require.NoError(t, d.build())
	response, err := http.Post("http://"+d.hosts[0].addr+"/metrics", "text/plain", strings.NewReader("a 1\n"))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	<-onItsWay
	require.Equal(t, 1, d.figures().behind)
	close(goOn)
	d.drain()
	require.Zero(t, d.figures().behind)
	require.NotContains(t, out.String(), "gave up waiting")
}

func TestConfigIsCheckedAsAWhole(t *testing.T) {
	var out bytes.Buffer
	cfg := small(t, &out)
	cfg.Hubs, cfg.Gateways, cfg.Interval, cfg.For, cfg.KillHub = 0, -1, time.Millisecond, -1, 3
	cfg.Scrape, cfg.Placement = []string{"localhost:9100"}, "jump"
	err := run(t.Context(), cfg)
	for _, flag := range []string{"--hubs=0", "--gateways=-1", "--interval=1ms", "--for=-1ns", "--kill-hub=3", "--scrape=localhost:9100", "--placement: "} {
		require.ErrorContains(t, err, flag)
	}
	require.Empty(t, out.String())
}

func TestListenPrefersPrometheusPortAndTakesAFreeOne(t *testing.T) {
	first, err := listen("")
	require.NoError(t, err)
	defer first.Close()
	second, err := listen("")
	require.NoError(t, err)
	defer second.Close()
	require.NotEqual(t, first.Addr(), second.Addr())
	_, err = listen(second.Addr().String())
	require.Error(t, err, "an address that was asked for is not replaced")
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", -100: "-100", 105141: "105,141", 1234567: "1,234,567"} {
		require.Equal(t, want, thousands(n))
	}
}
