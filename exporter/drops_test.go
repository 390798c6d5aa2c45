package exporter

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
)

// toldDrops is an OnDrop that keeps what it is told.
type toldDrops chan Drop

func (h toldDrops) on(c *Config) { c.OnDrop = func(d Drop) { h <- d } }

// all returns what was told so far.
func (h toldDrops) all() (drops []Drop) {
	for len(h) > 0 {
		drops = append(drops, <-h)
	}
	return drops
}

// Whatever is dropped is told, with who and why.
func TestOnDrop(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		told := make(toldDrops, 100)
		h := start(t, f, told.on)
		bad := magma.MetricAndContext{Family: gaugeFamily("bad-name", 1), Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: "g"}}}
		bad.Family.Metric[0].Gauge = nil
		assert.Error(t, h.e.Submit(context.Background(), []magma.MetricAndContext{bad}))
		f["hub-0"].poison = `gatewayID="poor"`
		h.submit(1, "poor", "rich")
		bubble.Pass(time.Second)
		assert.Equal(t, []Drop{
			{Reason: "missing_value", Network: "n", Gateway: "g", Metric: "bad_name", Samples: 1},
			{Reason: "rejected_400", Gateway: "poor", Samples: 1},
		}, told.all())

		f["hub-0"].kill()
		h.submit(2, "late")
		require.Error(t, h.stop())
		assert.Equal(t, []Drop{{Reason: "undelivered", Gateway: "late", Samples: 1}}, told.all(), "before Run returns")
		assert.ErrorIs(t, h.e.Submit(context.Background(), []magma.MetricAndContext{bad}), ErrClosed)
		assert.Empty(t, told.all(), "the caller has the error")
	})
}

func TestOnDropOfOverflow(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		told := make(toldDrops, 10_000)
		h := start(t, f, told.on, func(c *Config) { c.MaxQueueBytes, c.Overflow, c.FlushTimeout = 5000, DropOldest, 1 })
		for i := range 50 {
			h.submit(i, "gw")
			bubble.Pass(time.Millisecond)
		}
		assert.Equal(t, Drop{Reason: "queue_overflow", Gateway: "gw", Samples: 1}, told.all()[0])
		require.Error(t, h.stop())
	})
}

// More than can be described is told as a sum.
func TestOnDropOfVeryMany(t *testing.T) {
	virtual(t, func(t *testing.T) {
		told := make(toldDrops, 1000)
		h := start(t, newFleet(1), told.on)
		var items []magma.MetricAndContext
		for i := range 250 {
			f := gaugeFamily(fmt.Sprint("m", i), 1)
			f.Metric[0].Gauge = nil
			items = append(items, magma.MetricAndContext{Family: f})
		}
		assert.Error(t, h.e.Submit(context.Background(), items))
		bubble.Pass(time.Second)
		all := told.all()
		require.Len(t, all, 101)
		assert.Equal(t, Drop{Reason: "missing_value", Samples: 150}, all[100])
		require.NoError(t, h.stop())
	})
}

// An OnDrop that hangs holds nobody up: what it could not be told is counted.
func TestOnDropThatHangs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hang, calls := make(chan struct{}), 0
		h := start(t, f, func(c *Config) { c.OnDrop = func(Drop) { calls++; <-hang } })
		none := gaugeFamily("m", 1)
		none.Metric[0].Gauge = nil
		for range maxDrops + 11 {
			assert.Error(t, h.e.Submit(context.Background(), []magma.MetricAndContext{{Family: none}}))
			bubble.Pass(time.Millisecond)
		}
		assert.Equal(t, 10, h.count("drop_notices_missed_total"))
		h.submit(1, "gw")
		bubble.Pass(time.Second)
		assert.Len(t, f["hub-0"].lines(), 1)
		close(hang)
		require.NoError(t, h.stop())
		assert.Equal(t, maxDrops+1, calls)
	})
}
