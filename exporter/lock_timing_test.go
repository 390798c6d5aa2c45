package exporter

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/push"
)

// crowdedRouter has hubs, and lanes with one small parcel each that wait.
func crowdedRouter(tb testing.TB, hubs, lanes int, change func(*Config)) (*router, []*outbox) {
	tb.Helper()
	cfg := Config{MaxQueueBytes: 1 << 30}
	for i := range hubs {
		cfg.Hubs = append(cfg.Hubs, Hub{URL: fmt.Sprintf("http://hub-%d", i)})
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	require.NoError(tb, err)
	for i := range lanes {
		require.NoError(tb, e.Submit(tb.Context(), reports(1, fmt.Sprintf("gateway-%07d", i))))
	}
	return e.router, e.router.outboxes
}

func timed(f func()) time.Duration {
	begin := time.Now()
	f()
	return time.Since(begin)
}

// How long Submit may have to wait for the router's mutex while 100,000 gateways
// are queued.
//
//	go test ./exporter -run '^$' -bench HoldingTheMutex -benchtime 5x
func BenchmarkHoldingTheMutex(b *testing.B) {
	res := push.Result{Outcome: push.TryNext, Detail: "test"}
	report := func(b *testing.B, all []time.Duration) {
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds()), "us-median")
		b.ReportMetric(float64(all[len(all)-1].Microseconds()), "us-max")
		b.ReportMetric(0, "ns/op")
	}
	for _, hubs := range []int{3, 40} {
		b.Run(fmt.Sprintf("hub down, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowdedRouter(b, hubs, 100_000, nil)
			var down, up []time.Duration
			for b.Loop() {
				down = append(down, timed(func() { r.failed(all[0], all[0].life, nil, res, time.Now()) }))
				up = append(up, timed(func() { r.alive(all[0], time.Now()) }))
			}
			report(b, down)
			slices.Sort(up)
			b.ReportMetric(float64(up[len(up)/2].Microseconds()), "us-up-median")
		})
		b.Run(fmt.Sprintf("last hub down, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowdedRouter(b, hubs, 100_000, nil)
			var down, up []time.Duration
			for b.Loop() {
				for _, o := range all {
					down = append(down, timed(func() { r.failed(o, o.life, nil, res, time.Now()) }))
				}
				for _, o := range all {
					up = append(up, timed(func() { r.alive(o, time.Now()) }))
				}
			}
			report(b, down)
			slices.Sort(up)
			b.ReportMetric(float64(up[len(up)/2].Microseconds()), "us-up-median")
			b.ReportMetric(float64(up[len(up)-1].Microseconds()), "us-up-max")
		})
		b.Run(fmt.Sprintf("request made and settled, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowdedRouter(b, hubs, 100_000, nil)
			var next, back, settled []time.Duration
			for b.Loop() {
				var f flight
				later := time.Now().Add(time.Minute)
				next = append(next, timed(func() { _, f, _ = r.next(all[0], later) }))
				back = append(back, timed(func() { r.cut(f.batch) }))
				r.landed(all[0], f)
				_, f, _ = r.next(all[0], later)
				settled = append(settled, timed(func() { r.delivered(all[0], f.batch) }))
				r.landed(all[0], f)
			}
			report(b, next)
			slices.Sort(back)
			slices.Sort(settled)
			b.ReportMetric(float64(back[len(back)/2].Microseconds()), "us-back")
			b.ReportMetric(float64(settled[len(settled)/2].Microseconds()), "us-settled")
		})
	}
	b.Run("hub of held gateways down", func(b *testing.B) {
		r, all := crowdedRouter(b, 2, 100_000, nil)
		var down []time.Duration
		for b.Loop() {
			later := time.Now().Add(time.Minute)
			for len(all[0].waiting) > 0 {
				_, f, _ := r.next(all[0], later)
				r.postponed(f.batch, time.Hour, later)
				r.landed(all[0], f)
			}
			down = append(down, timed(func() { r.failed(all[0], all[0].life, nil, res, time.Now()) }))
			r.alive(all[0], time.Now())
			all[0].pace.on, all[0].trial = false, false
		}
		report(b, down)
	})
	b.Run("oldest spilled last", func(b *testing.B) {
		r, all := crowdedRouter(b, 1, 200_000, nil)
		var spilled []time.Duration
		for b.Loop() {
			_, f, _ := r.next(all[0], time.Now().Add(time.Minute)) // these hang in a request
			rest := r.takeToSpill(1 << 30)
			r.spilled(rest, rest)
			r.cut(f.batch)
			r.landed(all[0], f)
			late := r.takeToSpill(spillBytes)
			if len(late) == 0 {
				continue // all is on disk
			}
			spilled = append(spilled, timed(func() { r.spilled(late, late) }))
		}
		report(b, spilled)
	})
	b.Run("spilling", func(b *testing.B) {
		r, _ := crowdedRouter(b, 3, 100_000, nil)
		var take, spilled []time.Duration
		for b.Loop() {
			var parcels []*parcel
			take = append(take, timed(func() { parcels = r.takeToSpill(spillBytes) }))
			spilled = append(spilled, timed(func() { r.spilled(parcels, nil) }))
		}
		report(b, take)
		slices.Sort(spilled)
		b.ReportMetric(float64(spilled[len(spilled)/2].Microseconds()), "us-spilled")
	})
	b.Run("a victim behind those in requests", func(b *testing.B) {
		r, all := crowdedRouter(b, 40, 200_000, func(c *Config) { c.Overflow = DropOldest })
		for _, o := range all {
			r.next(o, time.Now().Add(time.Minute))
			r.next(o, time.Now().Add(time.Minute))
		}
		var scan []time.Duration
		for b.Loop() {
			scan = append(scan, timed(func() { r.victimLocked() }))
		}
		report(b, scan)
	})
}
