package account

import (
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

// View reads all shards: each series once, its samples by time and then by
// shard. Shard.Union has this form.
type View func(yield func(series labels.Labels, samples []shard.Sample) bool) error

// Grave is what a killed hub had said yes to and no scraper had confirmed: the
// times of its samples by the Key of their series.
type Grave struct {
	Hub     int
	Pending map[string][]int64
}

// Question is what Settle compares.
type Question struct {
	Ledger *Ledger
	View   View
	Graves []Grave
	Shards int   // how many there are
	Since  int64 // series with a sample later than this count as present
}

// Settle compares what was submitted with what is there. The senders must have
// stopped and the hubs must be drained.
func Settle(q Question) (*Result, error) {
	s := newSettlement(q)
	if err := q.View(s.series); err != nil {
		return nil, err
	}
	s.unseen()
	return s.result, nil
}

// settlement is a comparison that is under way.
type settlement struct {
	Question
	result  *Result
	graves  []grave
	seen    map[*Group][]bool
	times   map[*Group][]int64
	sources map[string]*Source
}

type grave struct {
	hub  int
	dead map[string]map[int64]bool
}

func newSettlement(q Question) *settlement {
	s := &settlement{
		Question: q,
		result:   &Result{Shards: make([]Shard, q.Shards)},
		seen:     map[*Group][]bool{},
		times:    map[*Group][]int64{},
		sources:  map[string]*Source{},
	}
	for _, g := range q.Graves {
		dead := make(map[string]map[int64]bool, len(g.Pending))
		for key, times := range g.Pending {
			dead[key] = make(map[int64]bool, len(times))
			for _, t := range times {
				dead[key][t] = true
			}
		}
		s.graves = append(s.graves, grave{g.Hub, dead})
	}
	q.Ledger.mu.Lock()
	defer q.Ledger.mu.Unlock()
	for _, g := range q.Ledger.groups {
		s.times[g] = g.distinctTimes()
		s.seen[g] = make([]bool, len(g.keys))
		s.result.Submitted += uint64(len(g.times)) * uint64(len(g.keys))
		s.result.Repeated += uint64(len(g.times)-len(s.times[g])) * uint64(len(g.keys))
		if s.sources[g.source] == nil {
			s.sources[g.source] = &Source{
				Name: g.source, Gateway: g.gateway,
				In: make([]int, q.Shards),
			}
			s.result.Sources = append(s.result.Sources, s.sources[g.source])
		}
	}
	return s
}

// series compares one series of the shards.
func (s *settlement) series(found labels.Labels, samples []shard.Sample) bool {
	key := Key(found)
	p, ok := s.Ledger.series[key]
	if !ok {
		s.unknown(key, found, samples)
		return true
	}
	s.seen[p.group][p.index] = true
	s.present(p.group, samples)
	expected := s.times[p.group]
	for len(samples) > 0 {
		same := 1
		for same < len(samples) && samples[same].Time == samples[0].Time {
			same++
		}
		at := samples[0].Time
		for len(expected) > 0 && expected[0] < at {
			s.missing(key, expected[0])
			expected = expected[1:]
		}
		if len(expected) > 0 && expected[0] == at {
			s.stored(p, key, samples[:same])
			expected = expected[1:]
		} else {
			s.result.Foreign.add(key, same)
		}
		samples = samples[same:]
	}
	for _, at := range expected {
		s.missing(key, at)
	}
	return true
}

// unknown takes note of a series that was not submitted. One of a gateway that
// is not ours came from somebody who pushed to a hub; it is counted apart. Any
// other one should not exist: it may be one of ours with its labels changed.
func (s *settlement) unknown(key string, found labels.Labels, samples []shard.Sample) {
	gateway := found.Get("gatewayID")
	switch {
	case writtenByScrapes(found):
	case gateway == "" || s.sources[gateway] != nil:
		s.result.Foreign.add(key, len(samples))
	default:
		s.result.Guests.add(key, len(samples))
		if samples[len(samples)-1].Time > s.Since {
			s.result.GatewaySeries++
		}
	}
}

// present counts the series where it is, and once where it is in the union.
func (s *settlement) present(g *Group, samples []shard.Sample) {
	in := make([]bool, s.Shards)
	for _, sample := range samples {
		in[sample.Shard] = true
	}
	for i, is := range in {
		if is {
			s.result.Shards[i].Series++
		}
	}
	if n := len(samples); g.gateway && n > 0 && samples[n-1].Time > s.Since {
		s.result.GatewaySeries++
	}
}

// stored takes note of a submitted sample that is in one shard or more.
func (s *settlement) stored(p position, key string, copies []shard.Sample) {
	s.result.Stored++
	source := s.sources[p.group.source]
	for _, c := range copies {
		s.result.Shards[c.Shard].Samples++
		source.In[c.Shard]++
	}
	if len(copies) > 1 {
		s.result.Copies += uint64(len(copies) - 1)
		if slices.ContainsFunc(copies, func(c shard.Sample) bool { return !equal(c.Value, copies[0].Value) }) {
			s.result.Conflicts.add(key, 1)
		}
	}
	if p.group.value != nil && !equal(p.group.value(p.index, copies[0].Time), copies[0].Value) {
		s.result.Altered.add(key, 1)
	}
}

// missing takes note of a submitted sample that no shard has.
func (s *settlement) missing(key string, at int64) {
	for _, g := range s.graves {
		if g.dead[key][at] {
			s.result.Died++
			s.result.Shards[g.hub].Died++
			return
		}
	}
	s.result.Lost.add(key, 1)
}

// unseen goes through the series that no shard has at all.
func (s *settlement) unseen() {
	for g, seen := range s.seen {
		for i, found := range seen {
			if found {
				continue
			}
			for _, at := range s.times[g] {
				s.missing(g.keys[i], at)
			}
		}
	}
}

// writtenByScrapes is true for the few series that Prometheus writes about each
// scrape, and for a hub's receipts. Nobody submits them.
func writtenByScrapes(series labels.Labels) bool {
	if series.Get(model.MetricNameLabel) == "edgehub_receipt" && series.Len() == 1 {
		return true
	}
	if series.Get("job") != shard.Job {
		return false
	}
	switch series.Get(model.MetricNameLabel) {
	case "up", "scrape_duration_seconds", "scrape_samples_scraped",
		"scrape_samples_post_metric_relabeling", "scrape_series_added":
		return true
	}
	return false
}

// equal takes two NaNs for the same value.
func equal(a, b float64) bool { return a == b || a != a && b != b }
