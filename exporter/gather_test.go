package exporter

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
)

// registryStub is a Gatherer that notes when it is asked.
type registryStub struct {
	mu       sync.Mutex
	times    []time.Duration // since start
	start    time.Time
	families []*dto.MetricFamily
	err      error
	block    chan struct{} // if not nil, Gather waits until it is closed
}

func newStub(names ...string) *registryStub {
	s := &registryStub{start: time.Now()}
	for _, name := range names {
		s.families = append(s.families, gaugeFamily(name, 1))
	}
	return s
}

// Gather implements prometheus.Gatherer.
func (s *registryStub) Gather() ([]*dto.MetricFamily, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.times = append(s.times, time.Since(s.start))
	if s.block != nil {
		<-s.block
	}
	return s.families, s.err
}

// asked returns when Gather was called.
func (s *registryStub) asked() []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.times)
}

func gathering(sources ...Gather) func(*Config) {
	return func(c *Config) { c.Gather = sources }
}

// A source is asked at its interval, which starts at a moment of its own.
func TestGatherAtAnInterval(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		often, seldom := newStub("often"), newStub("seldom", "rare")
		h := start(t, f, gathering(
			Gather{Gatherer: often, Interval: 10 * time.Second},
			Gather{Gatherer: seldom},
		))
		bubble.Pass(5 * time.Minute)
		for _, c := range []struct {
			*registryStub
			interval time.Duration
		}{{often, 10 * time.Second}, {seldom, DefaultGatherInterval}} {
			times := c.asked()
			require.Len(t, times, int(5*time.Minute/c.interval))
			assert.Less(t, times[0], c.interval)
			for i := range times[1:] {
				assert.Equal(t, c.interval, times[i+1]-times[i])
			}
		}
		require.NoError(t, h.stop())
		assert.Equal(t, 30+2*10, h.count("samples_delivered_total"))
		assert.Zero(t, h.count("gather_failures_total"))
	})
}

// Controllers that start together do not gather together.
func TestGatherFirstAtRandom(t *testing.T) {
	virtual(t, func(t *testing.T) {
		first := map[time.Duration]bool{}
		for range 20 {
			s := newStub("own")
			h := start(t, newFleet(1), gathering(Gather{Gatherer: s}))
			bubble.Pass(DefaultGatherInterval)
			require.NoError(t, h.stop())
			require.NotEmpty(t, s.asked())
			first[s.asked()[0]] = true
		}
		assert.Len(t, first, 20, "of nanoseconds in 30 s no two are the same")
	})
}

// cutSample takes the timestamp off a line of the text format.
func cutSample(t *testing.T, line string) (sample string, stamp time.Time) {
	t.Helper()
	end := strings.LastIndexByte(line, ' ')
	require.Positive(t, end, line)
	ms, err := strconv.ParseInt(line[end+1:], 10, 64)
	require.NoError(t, err)
	return line[:end], time.UnixMilli(ms)
}

// The context decides the labels, as it does in Submit. What is gathered is not
// changed: a registry may hand out the same again.
func TestGatherSetsTheLabels(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		plain, host, gateway := newStub("plain"), newStub("host"), newStub("gateway")
		h := start(t, f, gathering(
			Gather{Gatherer: plain},
			Gather{Gatherer: host, Context: &magma.CloudMetricContext{CloudHost: "controller-0"}},
			Gather{Gatherer: gateway, Context: &magma.GatewayMetricContext{NetworkID: "net", GatewayID: "gw"}},
		))
		bubble.Pass(DefaultGatherInterval)
		require.NoError(t, h.stop())
		var series []string
		for _, line := range f["hub-0"].lines() {
			name, stamp := cutSample(t, line)
			series = append(series, name)
			assert.WithinDuration(t, plain.start.Add(DefaultGatherInterval/2), stamp, DefaultGatherInterval/2, "the time of the gathering")
		}
		assert.ElementsMatch(t, []string{"plain 1", `host{cloudHost="controller-0"} 1`, `gateway{gatewayID="gw",networkID="net"} 1`}, series)
		for _, s := range []*registryStub{plain, host, gateway} {
			assert.Empty(t, s.families[0].Metric[0].Label)
			assert.Nil(t, s.families[0].Metric[0].TimestampMs)
		}
	})
}

// A registry that works in part is gathered in part, and the failure counted.
func TestGatherInPart(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		half, none := newStub("half"), newStub()
		half.err, none.err = errors.New("a collector is stuck"), errors.New("no collector works")
		h := start(t, f, gathering(Gather{Gatherer: half}, Gather{Gatherer: none}))
		bubble.Pass(3 * DefaultGatherInterval)
		require.NoError(t, h.stop())
		assert.Len(t, f["hub-0"].lines(), 3)
		assert.Equal(t, 6, h.count("gather_failures_total"))
		assert.Contains(t, h.log.String(), "a collector is stuck")
		assert.Contains(t, h.log.String(), "no collector works")
	})
}

// What Submit leaves out or refuses is a failure, too; the next gathering comes
// all the same.
func TestGatherThatIsNotTakenIn(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		bad, good := newStub("good", ""), newStub("good")
		h := start(t, f, gathering(Gather{Gatherer: bad}, Gather{Gatherer: good}))
		bubble.Pass(2 * DefaultGatherInterval)
		require.NoError(t, h.stop())
		assert.Len(t, f["hub-0"].lines(), 4)
		assert.Equal(t, 2, h.count("gather_failures_total"))
		assert.Equal(t, 2, h.count("samples_dropped_total", "empty_name"))
	})
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		s := newStub("own")
		h := start(t, f, gathering(Gather{Gatherer: s}), func(c *Config) { c.MaxQueueBytes = 5000 })
		filled := 0
		for h.e.Submit(context.Background(), reports(1, "gw-"+strconv.Itoa(filled))) == nil {
			filled++
		}
		for len(s.asked()) == 0 {
			bubble.Pass(100 * time.Millisecond)
		}
		assert.Equal(t, 1, h.count("gather_failures_total"))
		assert.Contains(t, h.log.String(), "queue is full")
		f["hub-0"].revive()
		bubble.Pass(DefaultGatherInterval)
		assert.Len(t, s.asked(), 2)
		require.NoError(t, h.stop())
		assert.Equal(t, 1, h.count("gather_failures_total"))
		assert.Equal(t, filled+1, h.count("samples_delivered_total"))
	})
}

// A source that is slower than its interval is not asked twice at a time, and
// what it missed is not made up for.
func TestGatherSlowly(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := newStub("slow")
		s.block = make(chan struct{})
		h := start(t, newFleet(1), gathering(Gather{Gatherer: s, Interval: time.Second}))
		bubble.Pass(10500 * time.Millisecond)
		close(s.block)
		bubble.Pass(0)
		assert.Len(t, s.asked(), 2, "the next one at once, now that it is late")
		bubble.Pass(4500 * time.Millisecond)
		assert.Len(t, s.asked(), 2+4, "and then one a second")
		require.NoError(t, h.stop())
	})
}

// Run ends before the first gathering, between two, and after one that is under
// way; what comes of that is neither sent nor a failure.
func TestGatherEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		before := newStub("own")
		h := start(t, newFleet(1), gathering(Gather{Gatherer: before, Interval: time.Hour}))
		require.NoError(t, h.stop())
		assert.Empty(t, before.asked())

		between := newStub("own")
		h = start(t, newFleet(1), gathering(Gather{Gatherer: between, Interval: time.Minute}))
		bubble.Pass(time.Minute)
		require.NoError(t, h.stop())
		bubble.Pass(time.Hour)
		assert.Len(t, between.asked(), 1)

		during := newStub("own")
		during.block, during.err = make(chan struct{}), errors.New("interrupted")
		h = start(t, newFleet(1), gathering(Gather{Gatherer: during, Interval: time.Minute}))
		bubble.Pass(time.Minute)
		h.cancel()
		synctest.Wait()
		close(during.block)
		require.NoError(t, <-h.ended)
		assert.Len(t, during.asked(), 1)
		assert.Zero(t, h.count("gather_failures_total"))
		assert.Zero(t, h.count("samples_submitted_total"))
	})
}

// The exporter's own metrics may be among those it gathers.
func TestGatherItsOwnAccount(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		reg := prometheus.NewRegistry()
		h := start(t, f, gathering(Gather{Gatherer: reg}), func(c *Config) { c.Registerer = reg })
		bubble.Pass(2 * DefaultGatherInterval)
		require.NoError(t, h.stop())
		assert.Contains(t, f["hub-0"].pushes()[0], "hubring_exporter_samples_submitted_total 0 ")
		families, err := reg.Gather()
		require.NoError(t, err)
		assert.Zero(t, countIn(families, "gather_failures_total"))
	})
}
