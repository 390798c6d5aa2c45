package exporter

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

var (
	seed      = flag.Uint64("seed", 0, "run the simulation with this seed only")
	schedules = flag.Int("schedules", 60, "how many random schedules the simulation runs")
)

// The exporter against hubs that fail in every way a script can say, in virtual
// time. Whatever happens: no sample is lost without being counted, every scrape
// adds up, the bound holds, and each gateway's samples arrive in order.
//
//	go test ./exporter -run Simulation -schedules=10000
//	go test ./exporter -run Simulation -seed=42
func TestSimulation(t *testing.T) {
	if *seed != 0 {
		virtual(t, func(t *testing.T) { simulate(t, *seed) })
		return
	}
	n := uint64(*schedules)
	if testing.Short() {
		n = min(n, 30)
	}
	for s := uint64(1); s <= n; s++ {
		ok := t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) {
			virtual(t, func(t *testing.T) { simulate(t, s) })
		})
		if !ok {
			t.Fatalf("replay with: go test ./exporter -run Simulation -seed=%d", s)
		}
	}
}

func simulate(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	ids := append(gateways(1+rnd.IntN(40)), "") // "" is what is of no gateway
	f := newFleet(1 + rnd.IntN(5))
	var mu sync.Mutex
	arrived := map[string]bool{} // the samples that a hub took in
	delivered := 0               // the same, counted
	reached := map[string]int{}  // gateway to the latest value that arrived
	for _, hub := range f {
		if rnd.IntN(3) == 0 {
			hub.advertise("gzip")
		}
		hub.onPush = func(body string) {
			mu.Lock()
			defer mu.Unlock()
			latest := map[string]int{} // of this request
			for _, line := range sampleLines(body) {
				if arrived[line] {
					continue // its answer was lost
				}
				arrived[line] = true
				delivered++
				// A request is sorted by family: within it only the order of
				// each series says anything.
				id, value := gatewayOf(line), valueOf(line)
				series, _, _ := strings.Cut(line, "}")
				assert.GreaterOrEqual(t, value, reached[id], "gateway %q: %s", id, line)
				assert.Greater(t, value, latest[series], "gateway %q: %s", id, line)
				latest[series], latest[id] = value, max(value, latest[id])
			}
			for _, id := range ids {
				reached[id] = max(reached[id], latest[id])
			}
		}
	}
	maxQueue := 10_000 + rnd.IntN(200_000)
	h := start(t, f, func(c *Config) {
		c.MaxQueueBytes = maxQueue
		c.BatchBytes = 200 + rnd.IntN(9_000)
		c.PushTimeout = 3 * time.Second
		c.FlushTimeout = time.Duration(1+rnd.IntN(20)) * time.Second
	})

	taken := 0
	for value := 1; value <= 60; value++ {
		for _, hub := range f {
			mischief(rnd, hub)
		}
		items := someReports(rnd, value, ids)
		if err := h.e.Submit(context.Background(), items); err == nil {
			taken += countSamples(items)
		} else {
			require.ErrorIs(t, err, ErrQueueFull)
		}
		h.balanced()
		require.LessOrEqual(t, h.count("queue_bytes"), maxQueue)
		pass(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		h.balanced()
	}
	if rnd.IntN(2) == 0 {
		for _, hub := range f {
			hub.revive()
		}
		if rnd.IntN(2) == 0 {
			pass(2 * time.Minute)
			require.Zero(t, h.count("queue_samples"), "all hubs live, so nothing may stay")
		}
	}
	left := 0
	if err := h.stop(); err != nil {
		var u *UndeliveredError
		require.ErrorAs(t, err, &u)
		left = u.Samples
	}

	h.balanced()
	rejected := h.count("samples_dropped_total", "rejected_400", "rejected_413", "rejected_422")
	assert.Equal(t, taken, h.count("samples_submitted_total"))
	assert.Equal(t, left, h.count("samples_dropped_total", "undelivered"))
	acknowledged := h.count("samples_delivered_total")
	assert.Equal(t, taken, acknowledged+rejected+left)
	// A push that was taken in, and whose answer was lost, may be refused or
	// undelivered when it comes again: so more may have arrived.
	assert.LessOrEqual(t, acknowledged, delivered)
	assert.LessOrEqual(t, delivered, acknowledged+rejected+left)
}

// mischief changes what a hub does, now and then.
func mischief(rnd *rand.Rand, hub *fakeHub) {
	switch rnd.IntN(24) {
	case 0:
		hub.kill()
	case 1, 2, 3, 4:
		hub.revive()
	case 5:
		hub.answer(reply{status: 503}, reply{})
	case 6:
		hub.answer(reply{after: time.Hour}, reply{after: time.Hour})
	case 7:
		hub.say(reply{lost: true})
	case 8:
		hub.say(reply{after: time.Duration(rnd.IntN(4000)) * time.Millisecond})
	case 9:
		hub.say(reply{after: 2 * time.Second, err: errRefused})
	case 10:
		hub.say(reply{status: 429, header: http.Header{"Retry-After": {strconv.Itoa(rnd.IntN(90))}}})
	case 11:
		hub.say(reply{status: 413}, reply{status: 422})
	case 12:
		hub.say(reply{status: 415}, reply{status: 500, lost: true})
	case 13:
		hub.mu.Lock()
		hub.poison = fmt.Sprintf("gw-%03d", rnd.IntN(40))
		hub.mu.Unlock()
	case 14:
		hub.mu.Lock()
		hub.poison = ""
		hub.mu.Unlock()
	}
}

// someReports is what a controller submits in one go: samples of some gateways,
// of various types. A gateway's values ascend.
func someReports(rnd *rand.Rand, value int, ids []string) []MetricAndContext {
	var items []MetricAndContext
	for _, id := range ids {
		if rnd.IntN(4) == 0 {
			continue
		}
		v := float64(value)
		f := gaugeFamily(fmt.Sprint("m", rnd.IntN(3)), v)
		switch rnd.IntN(8) {
		case 0:
			f.Type, f.Metric[0].Counter = dto.MetricType_COUNTER.Enum(), &dto.Counter{Value: &v}
		case 1:
			f.Type, f.Metric[0].Summary = dto.MetricType_SUMMARY.Enum(), &dto.Summary{SampleCount: proto.Uint64(uint64(value)), SampleSum: &v}
		}
		f.Metric[0].TimestampMs = proto.Int64(int64(value))
		items = append(items, MetricAndContext{f, MetricContext{AdditionalContext: &GatewayMetricContext{NetworkID: "n", GatewayID: id}}})
	}
	return items
}
