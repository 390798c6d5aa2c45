package exporter

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
)

// Every sample of a gateway goes to one hub, in whatever order controllers list
// the hubs; and so does all of no gateway.
func TestOneHome(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(4)
		hubs := f.hubs()
		for range 2 { // two controllers
			hubs[0], hubs[3], hubs[1] = hubs[3], hubs[1], hubs[0]
			h := start(t, f, func(c *Config) { c.Hubs = hubs })
			for round := range 3 {
				h.submit(round, gateways(100)...)
				require.NoError(t, h.e.Submit(context.Background(), []magma.MetricAndContext{
					{Family: gaugeFamily("cloud", 1), Context: magma.MetricContext{AdditionalContext: &magma.CloudMetricContext{CloudHost: strconv.Itoa(round)}}},
					{Family: gaugeFamily("pushed", 1), Context: magma.MetricContext{AdditionalContext: &magma.PushedMetricContext{NetworkID: strconv.Itoa(round)}}},
					{Family: gaugeFamily("plain", 1), Context: noContext},
					{Family: gaugeFamily("lost", 1), Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: strconv.Itoa(round)}}},
				}))
				bubble.Pass(time.Second)
			}
			require.NoError(t, h.stop())
			assert.Equal(t, 3*104, h.count("samples_delivered_total"))
		}
		home := map[string]string{}
		for name, hub := range f {
			ids := gatewaysOf(hub.lines())
			assert.NotEmpty(t, ids)
			for _, id := range ids {
				assert.Empty(t, home[id], "gateway %q has two homes", id)
				home[id] = name
			}
		}
		assert.Len(t, home, 101, "and one for what is of no gateway")
	})
}

// Samples wait for others, but not long; a full request does not wait.
func TestBatching(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		h := start(t, f, func(c *Config) { c.BatchBytes = 1000 })
		h.submit(1, "a")
		bubble.Pass(150 * time.Millisecond)
		h.submit(2, "b")
		assert.Zero(t, hub.pushed())
		bubble.Pass(50 * time.Millisecond)
		assert.Equal(t, 1, hub.pushed())
		assert.Equal(t, []string{"a", "b"}, gatewaysOf(hub.lines()))

		h.submit(3, gateways(20)...)
		bubble.Pass(0)
		assert.Equal(t, 2, hub.pushed(), "full at once")
		for _, body := range hub.pushes() {
			assert.Less(t, len(body), 1000)
			assert.Equal(t, 1, strings.Count(body, "# TYPE"), "one header for all gateways")
		}
		require.NoError(t, h.stop())
		assert.Len(t, hub.lines(), 22)
	})
}

func TestQueueIsBounded(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		for _, hub := range f {
			hub.kill()
		}
		const limit = 20_000
		h := start(t, f, func(c *Config) { c.MaxQueueBytes = limit })
		taken, refused := 0, 0
		for i := range 100 {
			err := h.e.Submit(context.Background(), reports(i, gateways(10)...))
			if err == nil {
				taken += 10
			} else {
				require.ErrorIs(t, err, ErrQueueFull)
				assert.ErrorContains(t, err, "20000")
				assert.ErrorContains(t, err, "10 samples")
				refused += 10
			}
			bubble.Pass(time.Minute)
			assert.LessOrEqual(t, h.count("queue_bytes"), limit)
			h.balanced()
		}
		assert.Positive(t, taken)
		assert.Positive(t, refused)
		assert.Equal(t, taken, h.count("samples_submitted_total"))
		assert.Equal(t, taken, h.count("queue_samples"))
		assert.Equal(t, refused, h.count("samples_dropped_total", "hub_share"))

		for _, hub := range f {
			hub.revive()
		}
		bubble.Pass(time.Minute)
		assert.Equal(t, taken, h.count("samples_delivered_total"))
		assert.Zero(t, h.count("queue_bytes"))
		require.NoError(t, h.e.Submit(context.Background(), reports(1, "a")))
		require.NoError(t, h.stop())
	})
}

func TestSubmitRefuses(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, h.e.Submit(ended, reports(1, "a", "b")), context.Canceled)
		assert.Equal(t, 2, h.count("samples_dropped_total", "cancelled"))

		require.NoError(t, h.e.Submit(context.Background(), nil))
		require.NoError(t, h.stop())
		require.ErrorIs(t, h.e.Submit(context.Background(), reports(1, "a", "b", "c")), ErrClosed)
		assert.Equal(t, 3, h.count("samples_dropped_total", "closed"))
		assert.Zero(t, h.count("samples_submitted_total"))
		assert.ErrorContains(t, h.e.Run(context.Background()), "Run was called before")
	})
}

// An invalid metric is left out; it is said, counted, and logged a few times.
func TestInvalidSamplesAreCountedAndLogged(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		bad := family(t, `name:"bad" type:GAUGE metric:{label:{name:"a-b" value:"1"} gauge:{value:1}} metric:{gauge:{value:2}}`)
		for range 100 {
			err := h.e.Submit(context.Background(), []magma.MetricAndContext{{Family: bad, Context: gw}})
			var rejected *RejectedError
			require.ErrorAs(t, err, &rejected)
			assert.Equal(t, 1, rejected.Total)
			assert.Equal(t, "invalid_label_name", rejected.Samples[0].Reason)
		}
		require.NoError(t, h.stop())
		assert.Equal(t, 100, h.count("samples_dropped_total", "invalid_label_name"))
		assert.Equal(t, 100, h.count("samples_delivered_total"))
		assert.Equal(t, 5, strings.Count(h.log.String(), "invalid_label_name"))
		for _, part := range []string{"gateway=g", "network=n", "metric=bad", "label=a-b", "samples=1"} {
			assert.Contains(t, h.log.String(), part)
		}
		h.balanced()
	})
}

// When Run's context ends, what is queued goes out at once.
func TestRunFlushes(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.BatchWait = time.Hour })
		h.submit(1, gateways(50)...)
		bubble.Pass(time.Minute)
		begin := time.Now()
		require.NoError(t, h.stop())
		assert.Zero(t, time.Since(begin))
		assert.Equal(t, 50, h.count("samples_delivered_total"))
	})
}

// What cannot be flushed in time is said, and counted.
func TestRunReportsWhatIsUndelivered(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].answer(reply{after: time.Hour}, reply{}) // hangs
		h := start(t, f, func(c *Config) { c.PushTimeout, c.FlushTimeout = time.Minute, 5*time.Second })
		h.submit(1, "a", "b")
		require.NoError(t, h.e.Submit(context.Background(), []magma.MetricAndContext{{Family: gaugeFamily("cloud", 1), Context: noContext}}))
		bubble.Pass(time.Second)
		assert.Equal(t, 3, h.count("queue_samples"), "in flight is queued")
		h.submit(2, "a")

		begin := time.Now()
		err := h.stop()
		assert.Equal(t, 5*time.Second, time.Since(begin))
		var left *UndeliveredError
		require.ErrorAs(t, err, &left)
		assert.Equal(t, 4, left.Samples)
		assert.Equal(t, 2, left.Gateways)
		assert.Positive(t, left.Bytes)
		assert.ErrorContains(t, err, "4 samples of 2 gateways")
		assert.Equal(t, 4, h.count("samples_dropped_total", "undelivered"))
		assert.Zero(t, h.count("queue_samples"))
		assert.Zero(t, h.count("queue_bytes"))
		h.balanced()
	})
}

// While Run flushes, hubs that are down are probed, and what is left arrives.
func TestRunFlushesToAHubThatReturns(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		for _, hub := range f {
			hub.kill()
		}
		h := start(t, f, func(c *Config) { c.MinBackoff, c.MaxBackoff = time.Hour, time.Hour })
		h.submit(1, gateways(20)...)
		bubble.Pass(time.Second)
		time.AfterFunc(3*time.Second, f["hub-1"].revive)
		begin := time.Now()
		require.NoError(t, h.stop())
		assert.Less(t, time.Since(begin), 5*time.Second)
		assert.Len(t, f["hub-1"].lines(), 20)
	})
}

// Run does not wait for a probe that hangs when there is nothing to deliver.
func TestRunCutsAHangingProbe(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		f["hub-0"].answer(dead, reply{after: time.Hour})
		h := start(t, f)
		h.submit(1, gateways(20)...)
		bubble.Pass(time.Second)
		assert.Equal(t, 20, h.count("samples_delivered_total", "hub-1"))
		begin := time.Now()
		require.NoError(t, h.stop())
		assert.Zero(t, time.Since(begin))
	})
}

func TestRunWithAnEndedContextDeliversWhatWasSubmittedBefore(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		e, err := New(Config{Hubs: f.hubs(), Transport: f})
		require.NoError(t, err)
		require.NoError(t, e.Submit(context.Background(), reports(1, gateways(10)...)))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		require.NoError(t, e.Run(ctx))
		assert.Equal(t, 10, len(f["hub-0"].lines())+len(f["hub-1"].lines()))
	})
}

// Requests are compressed once the hub has said that it reads gzip.
func TestCompression(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		h := start(t, f)
		push := func(want string) {
			t.Helper()
			h.submit(1, gateways(30)...)
			bubble.Pass(time.Second)
			assert.Equal(t, want, hub.lastCoding())
		}
		push("")
		hub.advertise("gzip")
		push("") // says so in its answer
		push("gzip")
		push("gzip")

		// It cannot, after all.
		hub.say(reply{status: 415})
		pushes := hub.pushed()
		push("")
		push("")
		assert.Equal(t, pushes+3, hub.pushed())
		require.NoError(t, h.stop())
		assert.Equal(t, 180, h.count("samples_delivered_total"))
	})
}

// Another program takes the hub's place, and takes gzip for bad text.
func TestCompressionToAnotherProgram(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		hub.advertise("gzip")
		h := start(t, f)
		h.submit(1, "a")
		bubble.Pass(time.Second)
		hub.advertise()
		hub.say(reply{status: 400, body: "text format parsing error in line 1"})
		h.submit(2, "a")
		bubble.Pass(time.Second)
		require.NoError(t, h.stop())
		assert.Equal(t, 2, h.count("samples_delivered_total"))
		assert.Equal(t, 1, h.count("pushes_total", "resent_plain"))
	})
}

// Many goroutines submit while scrapes read; every scrape adds up.
func TestConcurrentUse(t *testing.T) {
	f := newFleet(3)
	h := start(t, f, func(c *Config) { c.BatchWait = time.Millisecond })
	var wg sync.WaitGroup
	const rounds = 50
	for worker := range 8 {
		wg.Go(func() {
			for i := range rounds {
				assert.NoError(t, h.e.Submit(context.Background(), reports(i, fmt.Sprint("gw-", worker), "shared")))
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			h.balanced()
		}
	})
	wg.Wait()
	require.NoError(t, h.stop())
	assert.Equal(t, 8*rounds*2, h.count("samples_delivered_total"))
	h.balanced()
}

func TestSelfMetricsAreWellFormed(t *testing.T) {
	virtual(t, func(t *testing.T) {
		h := start(t, newFleet(2))
		h.submit(1, gateways(10)...)
		require.NoError(t, h.stop())
		problems, err := testutil.GatherAndLint(h.reg)
		require.NoError(t, err)
		assert.Empty(t, problems)
	})
}
