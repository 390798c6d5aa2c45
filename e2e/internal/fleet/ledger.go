package fleet

import (
	"fmt"
	"math"
	"strconv"
	"sync"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Ledger holds every sample that the members reported. It is written before a
// sample is submitted, so no store can have one that the ledger lacks. It is
// safe for concurrent use.
type Ledger struct {
	mu      sync.Mutex
	members map[string]*account // by Gateway; one account for all of no gateway
}

// account is what was reported under one gateway.
type account struct {
	series  map[string]map[int64]float64 // key of a series: timestamp: value
	reports []Report
}

// Report is one report of a member.
type Report struct {
	At      int64 // timestamp of its samples, Unix milliseconds
	Samples int
}

// Sample is one sample of the ledger or of a store.
type Sample struct {
	Series string // see key
	At     int64  // Unix milliseconds
	Value  float64
}

func (s Sample) String() string { return fmt.Sprintf("%s %v @%d", s.Series, s.Value, s.At) }

func newLedger() *Ledger { return &Ledger{members: map[string]*account{}} }

// enter writes a report down. The exporter is free to keep the families, so
// they are read here and not later.
func (l *Ledger) enter(m Member, at int64, families []*dto.MetricFamily) error {
	samples, err := expfmt.ExtractSamples(&expfmt.DecodeOptions{}, families...)
	if err != nil {
		return fmt.Errorf("extract samples: %w", err)
	}
	keys := make([]string, len(samples))
	for i, s := range samples {
		keys[i] = key(model.LabelSet(s.Metric).Merge(m.labels()))
	}

	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.members[m.Gateway]
	if a == nil {
		a = &account{series: map[string]map[int64]float64{}}
		l.members[m.Gateway] = a
	}
	for i, s := range samples {
		values := a.series[keys[i]]
		if values == nil {
			values = map[int64]float64{}
			a.series[keys[i]] = values
		}
		values[at] = float64(s.Value)
	}
	a.reports = append(a.reports, Report{At: at, Samples: len(samples)})
	return nil
}

// Series returns the number of different series that a gateway has reported so
// far; all of no gateway count under "".
func (l *Ledger) Series(gateway string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a := l.members[gateway]; a != nil {
		return len(a.series)
	}
	return 0
}

// Reports returns a gateway's reports after a moment (Unix milliseconds), the
// oldest first.
func (l *Ledger) Reports(gateway string, after int64) []Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []Report
	if a := l.members[gateway]; a != nil {
		for _, r := range a.reports {
			if r.At > after {
				out = append(out, r)
			}
		}
	}
	return out
}

// Difference is where a store and the ledger disagree.
type Difference struct {
	Equal   int      // samples that agree, each store's own counted
	Missing []Sample // reported, in none of the stores
	Foreign []Sample // stored, though never reported so
	Twice   []Sample // stored more than once
}

// Compare compares what was reported under a gateway with what is stored under
// it, in one or more stores: every sample, its timestamp, and the bits of its
// value.
func (l *Ledger) Compare(gateway string, stores ...model.Matrix) Difference {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := l.members[gateway]
	if a == nil {
		a = &account{}
	}
	type place struct {
		series string
		at     int64
	}
	var d Difference
	seen := map[place]bool{}
	for _, store := range stores {
		for _, stream := range store {
			series := StoredKey(stream.Metric)
			for _, pair := range stream.Values {
				s := Sample{Series: series, At: int64(pair.Timestamp), Value: float64(pair.Value)}
				want, reported := a.series[series][s.At]
				if !reported || !same(want, s.Value) {
					d.Foreign = append(d.Foreign, s)
					continue
				}
				d.Equal++
				if seen[place{series, s.At}] {
					d.Twice = append(d.Twice, s)
				}
				seen[place{series, s.At}] = true
			}
		}
	}
	for series, values := range a.series {
		for at, value := range values {
			if !seen[place{series, at}] {
				d.Missing = append(d.Missing, Sample{Series: series, At: at, Value: value})
			}
		}
	}
	return d
}

// same compares the bits, save that every NaN is one: JSON cannot tell them
// apart.
func same(a, b float64) bool {
	return math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b)
}

// StoredKey is the key of a series that a shard or the querier returned:
// without the labels that the scrape and the shard added.
func StoredKey(m model.Metric) string {
	own := model.LabelSet(m).Clone()
	delete(own, "shard")
	if own["job"] == "edgehub" {
		delete(own, "job")
	}
	return key(own)
}

// key writes a series so that equal ones are equal: labels sorted, empty ones
// left out, as they mean the same, and the numbers in le and quantile written
// in one way, since Prometheus rewrites them.
func key(labels model.LabelSet) string {
	own := make(model.Metric, len(labels))
	for name, value := range labels {
		if name == model.BucketLabel || name == model.QuantileLabel {
			if f, err := strconv.ParseFloat(string(value), 64); err == nil {
				value = model.LabelValue(strconv.FormatFloat(f, 'g', -1, 64))
			}
		}
		if value != "" {
			own[name] = value
		}
	}
	return own.String()
}
