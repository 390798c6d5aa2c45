package compare

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"time"
)

// The fleet that all are measured with, and how many sets of hub names the figures
// of quality are averaged over: a circle's luck is in the names.
const (
	hubs, keys, sets = 10, 34_700, 20
)

// Quality is how well a contender places 34,700 keys on 10 hubs, averaged over 20
// sets of names.
type Quality struct {
	Balance  float64 // load of the busiest hub, relative to the average
	Grow     float64 // keys that move to 11 hubs, relative to what must move
	Shrink   float64 // keys that move when one of the 10 goes, not the last, relative to what must
	Stray    float64 // share of all keys that move between hubs that stay, the larger of both
	Failover float64 // load that a dead hub sends to whom it sends most, relative to an even share; 0 if it has no order
}

// Place measures the quality of a contender.
func (c Contender) Place() Quality {
	var sum Quality
	for set := range uint64(sets) {
		q := c.placeSet(set)
		sum.Balance += q.Balance / sets
		sum.Grow += q.Grow / sets
		sum.Shrink += q.Shrink / sets
		sum.Stray += q.Stray / sets
		sum.Failover += q.Failover / sets
	}
	return sum
}

func (c Contender) placeSet(set uint64) Quality {
	random := rand.New(rand.NewPCG(set, 3))
	names := make([]string, hubs+1)
	for i := range names {
		names[i] = fmt.Sprintf("edgehub-%d.region-%08x", i, random.Uint32())
	}
	fleet := make([]string, keys)
	for i := range fleet {
		fleet[i] = fmt.Sprintf("gateway-%08x-%d", random.Uint32(), i)
	}
	gone := random.IntN(hubs - 1)
	ring := c.place(names[:hubs], fleet)
	larger := c.place(names, fleet)
	smaller := c.place(slices.Delete(slices.Clone(names[:hubs]), gone, gone+1), fleet)

	load := map[string]int{}
	var q Quality
	grown, shrunk, growStray, shrinkStray := 0, 0, 0, 0
	for _, key := range fleet {
		home := ring.owner(key)
		load[home]++
		if to := larger.owner(key); to != home {
			grown++
			if to != names[hubs] {
				growStray++
			}
		}
		if smaller.owner(key) != home {
			shrunk++
			if home != names[gone] {
				shrinkStray++
			}
		}
	}
	q.Balance = float64(most(load)) * hubs / keys
	q.Grow = float64(grown) * (hubs + 1) / keys
	q.Shrink = float64(shrunk) * hubs / keys
	q.Stray = float64(max(growStray, shrinkStray)) / keys
	if f, ok := ring.(failover); ok {
		took := map[string]int{}
		for _, key := range fleet {
			if ring.owner(key) == names[gone] {
				took[f.next(key)]++
			}
		}
		q.Failover = float64(most(took)) * (hubs - 1) / float64(load[names[gone]])
	}
	return q
}

func most(counts map[string]int) int {
	m := 0
	for _, n := range counts {
		m = max(m, n)
	}
	return m
}

// Build is how long a contender takes to build a ring of numbered hubs, the
// fastest of several times; an error if it cannot.
func (c Contender) Build(hubs int) (took time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	names, fleet := numbered(hubs), someKeys()
	for began := time.Now(); took == 0 || time.Since(began) < 200*time.Millisecond; {
		start := time.Now()
		c.place(names, fleet)
		if d := time.Since(start); took == 0 || d < took {
			took = d
		}
	}
	return took, nil
}

// Lookup is how long a contender takes to find a key's owner among numbered
// hubs, and how often it allocates.
func (c Contender) Lookup(hubs int) (took time.Duration, allocs float64) {
	fleet := someKeys()
	ring := c.place(numbered(hubs), fleet)
	for range 5 { // the fastest of several, which was disturbed least
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		for _, key := range fleet {
			ring.owner(key)
		}
		d := time.Since(start) / time.Duration(len(fleet))
		runtime.ReadMemStats(&after)
		if took == 0 || d < took {
			took = d
		}
		allocs = float64((after.Mallocs - before.Mallocs) / uint64(len(fleet)))
	}
	return took, allocs
}

func numbered(hubs int) []string {
	names := make([]string, hubs)
	for i := range names {
		names[i] = fmt.Sprintf("edgehub-%d", i)
	}
	return names
}

func someKeys() []string {
	fleet := make([]string, 1<<16)
	for i := range fleet {
		fleet[i] = fmt.Sprintf("gateway-%05d", i)
	}
	return fleet
}
