package main

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"runtime"
	"time"

	"github.com/hubring/hubring/hashring"
)

// stepReport is what one step of a simulation did.
type stepReport struct {
	event  event
	build  time.Duration // of the new ring; 0 if the ring stayed
	moved  int           // gateways that have another home now
	needed float64       // of them, what even shares need
	strays int           // of them, those between two hubs that worked all along
	up     int           // hubs that work
	least, most,
	takeover int // gateways that the hub got that got most
	average, evenTakeover float64
}

// summarise works the loads out. Gained is what each hub has got in this step.
func (r *stepReport) summarise(keys int, upBefore, up map[int]bool, load, gained []int) {
	r.least = math.MaxInt
	before, joined, left := 0, 0, 0
	for i, works := range up {
		if !works {
			continue
		}
		r.up++
		r.least, r.most = min(r.least, load[i]), max(r.most, load[i])
		r.takeover = max(r.takeover, gained[i])
		if !upBefore[i] {
			joined++
		}
	}
	for i, worked := range upBefore {
		if worked {
			before++
			if !up[i] {
				left++
			}
		}
	}
	r.average = float64(keys) / float64(r.up)
	takers := r.up // a hub that goes leaves to all that stay, one that comes gets from all
	if joined > 0 {
		takers = joined
	}
	r.evenTakeover = float64(r.moved) / float64(takers)
	if r.event.kind != "start" {
		r.needed = float64(keys) * max(float64(joined)/float64(r.up), float64(left)/float64(max(before, 1)))
	}
}

// printSteps writes a line for every step.
func printSteps(out io.Writer, steps []stepReport) error {
	var b bytes.Buffer
	printTable(&b, "step\thubs up\tbuild\tmoved\tneeded\tstrays\tleast\taverage\tmost\tmost/average\ttakeover most\teven\tmost/even\t", func(row rowWriter) {
		for _, r := range steps {
			build, takeover := "-", "-\t-\t-"
			if r.build > 0 {
				build = r.build.Round(time.Millisecond).String()
			}
			if r.moved > 0 {
				takeover = fmt.Sprintf("%s\t%.1f\t%.2f", grouped(r.takeover), r.evenTakeover, float64(r.takeover)/r.evenTakeover)
			}
			row("%s\t%d\t%s\t%s\t%s\t%s\t%s\t%.0f\t%s\t%.2f\t%s\t", r.event, r.up, build, grouped(r.moved), grouped(int(math.Round(r.needed))),
				grouped(r.strays), grouped(r.least), r.average, grouped(r.most), float64(r.most)/r.average, takeover)
		}
	})
	_, err := out.Write(b.Bytes())
	return err
}

// printCost measures lookups on the ring of the last step, its memory, and what
// Assign would do to it.
func (s *simulation) printCost(out io.Writer, took time.Duration) error {
	before := memory()
	ring, err := hashring.New(s.nodes())
	if err != nil {
		return err
	}
	ringBytes := memory() - before
	_, err = fmt.Fprintf(out, "\nLookup %s, first failover step %s, ring %.2f MB; all steps %s with %.0f MB of gateways and rings.\n",
		perCall(s.keys, func(key string) { ring.Owner(key) }),
		perCall(s.keys[:min(len(s.keys), 4096)], func(key string) { failOver(ring, key) }),
		float64(ringBytes)/1e6, took.Round(100*time.Millisecond), float64(before)/1e6)
	if err != nil {
		return err
	}

	loads := make([]hashring.Load, len(s.keys))
	for i, key := range s.keys {
		loads[i] = hashring.Load{Key: key, Series: 1}
	}
	began := time.Now()
	assigned, err := ring.Assign(loads, 0)
	if err != nil {
		return err
	}
	took = time.Since(began)
	plan, err := hashring.Compare(ring, assigned, loads, 0, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "With Assign the busiest hub has %s gateways, %.2f of the average; %s of the gateways are not at their owner. It took %s.\n",
		grouped(plan.After.Most), float64(plan.After.Most)/plan.After.Average, percent(plan.MovedShare), took.Round(time.Millisecond))
	return err
}

// perCall is how long a call takes on average.
func perCall(keys []string, call func(key string)) time.Duration {
	began, calls := time.Now(), 0
	for calls == 0 || time.Since(began) < 50*time.Millisecond {
		for _, key := range keys {
			call(key)
		}
		calls += len(keys)
	}
	return time.Since(began) / time.Duration(calls)
}

// failOver walks a key to where it goes when its home is down.
func failOver(r *hashring.Ring, key string) {
	steps := 0
	for range r.Walk(key) {
		if steps++; steps == 2 {
			return
		}
	}
}

// memory is what the process has on its heap after collecting garbage.
func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
