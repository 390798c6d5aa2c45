//go:build linux

package queue

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// hold is how long a mutex was held, and how much of that its thread was at work: the rest is the
// machine's, which had others to do.
type hold struct{ wall, cpu time.Duration }

func timed(f func()) hold {
	runtime.LockOSThread() // whose time is measured
	defer runtime.UnlockOSThread()
	begin, worked := time.Now(), threadTime()
	f()
	return hold{time.Since(begin), threadTime() - worked}
}

// threadTime is how long this thread has been at work.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

// median is that of holds, which it sorts.
func median(all []hold) float64 {
	slices.SortFunc(all, func(a, b hold) int { return cmp.Compare(a.wall, b.wall) })
	return float64(all[len(all)/2].wall.Microseconds())
}

// holds is how long the mutex was held each time while lanes were moved.
func holds(r *Queue, begin func()) (all []hold) {
	all = append(all, timed(begin))
	for more := true; more; {
		all = append(all, timed(func() { more = r.rerouteSome(nil) }))
	}
	return all
}

// How long Submit may have to wait for the queue's mutex while 100,000 gateways
// are queued.
//
//	go test ./exporter/internal/queue -run '^$' -bench HoldingTheMutex -benchtime 5x
func BenchmarkHoldingTheMutex(b *testing.B) {
	report := func(b *testing.B, all []hold) {
		b.ReportMetric(median(all), "us-median")
		b.ReportMetric(float64(all[len(all)*999/1000].wall.Microseconds()), "us-p99.9")
		b.ReportMetric(float64(all[len(all)-1].wall.Microseconds()), "us-max")
		busiest := slices.MaxFunc(all, func(a, b hold) int { return cmp.Compare(a.cpu, b.cpu) })
		b.ReportMetric(float64(busiest.cpu.Microseconds()), "cpu-us-max")
		b.ReportMetric(0, "ns/op")
	}
	down := func(r *Queue, o *Outbox) []hold {
		return holds(r, func() { r.down(o, o.life, "test", 0, time.Now()) })
	}
	up := func(r *Queue, o *Outbox) []hold { return holds(r, func() { r.up(o, time.Now()) }) }
	for _, hubs := range []int{3, 40} {
		b.Run(fmt.Sprintf("hub dies, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			var times []hold
			for b.Loop() {
				times = append(times, down(r, all[0])...)
				up(r, all[0])
			}
			report(b, times)
		})
		b.Run(fmt.Sprintf("hub returns, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			var times []hold
			for b.Loop() {
				down(r, all[0])
				times = append(times, up(r, all[0])...)
			}
			report(b, times)
		})
		b.Run(fmt.Sprintf("all die and return, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			var times []hold
			for b.Loop() {
				for _, o := range all {
					times = append(times, down(r, o)...)
				}
				for _, o := range all {
					times = append(times, up(r, o)...)
				}
			}
			report(b, times)
		})
		b.Run(fmt.Sprintf("ring changes, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			old, was := hubsNamed(b, len(all))
			grown, ring := hubsNamed(b, len(all)+1)
			var times []hold
			for b.Loop() {
				times = append(times, holds(r, func() { r.changeHubs(grown, ring, time.Now()) })...)
				times = append(times, holds(r, func() { r.changeHubs(old, was, time.Now()) })...)
			}
			report(b, times)
		})
		b.Run(fmt.Sprintf("request made and settled, hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			var next, back, settled []hold
			for b.Loop() {
				var f Flight
				later := time.Now().Add(time.Minute)
				next = append(next, timed(func() { _, f, _ = r.Next(all[0], later) }))
				back = append(back, timed(func() { r.Cut(f.Batch) })) // in two holds
				r.Landed(all[0], f)
				_, f, _ = r.Next(all[0], later)
				settled = append(settled, timed(func() { r.Delivered(all[0], f.Batch, time.Now()) }))
				r.Landed(all[0], f)
			}
			report(b, next)
			b.ReportMetric(median(back), "us-back")
			b.ReportMetric(median(settled), "us-settled")
		})
	}
	b.Run("hub of held gateways down", func(b *testing.B) {
		r, all := crowded(b, 2, 100_000, nil)
		var times []hold
		for b.Loop() {
			later := time.Now().Add(time.Minute)
			for len(all[0].waiting) > 0 {
				_, f, _ := r.Next(all[0], later)
				r.Postponed(f.Batch, time.Hour, later)
				r.Landed(all[0], f)
			}
			times = append(times, down(r, all[0])...)
			up(r, all[0])
			all[0].pace.on, all[0].trial = false, false
		}
		report(b, times)
	})
	b.Run("oldest spilled last", func(b *testing.B) {
		r, all := crowded(b, 1, 200_000, nil)
		var spilled []hold
		for b.Loop() {
			_, f, _ := r.Next(all[0], time.Now().Add(time.Minute)) // these hang in a request
			rest := r.TakeToSpill(1 << 30)                         // in many holds
			r.Spilled(rest, onDisk(rest))
			r.Cut(f.Batch)
			r.Landed(all[0], f)
			late := r.TakeToSpill(4 << 20)
			if len(late) == 0 {
				continue // all is on disk
			}
			for some := range backwards(late) {
				spilled = append(spilled, timed(func() { r.spilledSome(some, onDisk(some)) }))
			}
		}
		report(b, spilled)
	})
	b.Run("spilling", func(b *testing.B) {
		r, _ := crowded(b, 3, 100_000, nil)
		var take, spilled []hold
		for b.Loop() {
			var parcels []*Parcel
			for range 30 {
				take = append(take, timed(func() { parcels = append(parcels, r.takeSomeToSpill(4<<20)...) }))
			}
			for some := range backwards(parcels) {
				spilled = append(spilled, timed(func() { r.spilledSome(some, nil) }))
			}
		}
		report(b, take)
		b.ReportMetric(median(spilled), "us-spilled")
	})
	b.Run("given up", func(b *testing.B) {
		var times []hold
		for b.Loop() {
			r, _ := crowded(b, 3, 100_000, nil)
			for more := true; more; {
				times = append(times, timed(func() { more = r.giveUpSome(map[string]bool{}) }))
			}
		}
		report(b, times)
	})
	b.Run("a victim behind those in requests", func(b *testing.B) {
		r, all := crowded(b, 40, 200_000, func(s *Settings) { s.DropOldest = true })
		for _, o := range all {
			r.Next(o, time.Now().Add(time.Minute))
			r.Next(o, time.Now().Add(time.Minute))
		}
		var scan []hold
		for b.Loop() {
			scan = append(scan, timed(func() { r.victimLocked() }))
		}
		report(b, scan)
	})
}

// How long Submit waits and queues while 100,000 gateways are queued and hubs die and
// return all the time.
//
//	go test ./exporter/internal/queue -run '^$' -bench SubmitWhileLanesMove -benchtime 20000x
func BenchmarkSubmitWhileLanesMove(b *testing.B) {
	for _, hubs := range []int{3, 40} {
		b.Run(fmt.Sprintf("hubs=%d", hubs), func(b *testing.B) {
			r, all := crowded(b, hubs, 100_000, nil)
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					o := all[i%len(all)]
					r.Failed(o, o.life, nil, "test", 0, time.Now())
					r.Alive(o, time.Now())
				}
			}()
			batch := make([][]*Parcel, b.N)
			for i := range batch {
				batch[i] = parcelsWith(1, fmt.Sprintf("gateway-%07d", i%100_000))
			}
			var times []hold
			b.ResetTimer()
			for i := range b.N {
				times = append(times, timed(func() {
					require.NoError(b, r.Submit(batch[i], &[reason.NumEncoding]int{}, nil, time.Now()))
				}))
			}
			b.StopTimer()
			close(stop)
			<-stopped
			median(times) // sorts them
			b.ReportMetric(float64(times[len(times)*99/100].wall.Microseconds()), "us-p99")
			b.ReportMetric(float64(times[len(times)*999/1000].wall.Microseconds()), "us-p99.9")
			b.ReportMetric(float64(times[len(times)-1].wall.Microseconds()), "us-max")
		})
	}
}
