// Package account checks that every submitted sample is in a shard, died with
// a killed hub, or is lost, by comparing sets and not by adding up counters.
//
//	Ledger   which (series, time) was submitted: written by the senders
//	View     which (series, time, value) every shard holds: read past the API
//	Grave    what a killed hub held that no scrape had taken
//	Settle   compares the three; Result.Faults says in sentences what is wrong
package account

import (
	"slices"
	"strconv"
	"sync"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// Key is the text by which a series is known here. Prometheus writes the bounds
// of buckets and quantiles its own way when it scrapes ("1" becomes "1.0"), and
// so does Key.
func Key(series labels.Labels) string {
	for _, name := range []string{labels.BucketLabel, "quantile"} {
		bound, err := strconv.ParseFloat(series.Get(name), 64)
		if err != nil {
			continue
		}
		series = labels.NewBuilder(series).Set(name, labels.FormatOpenMetricsFloat(bound)).Labels()
	}
	return series.String()
}

var seriesParser = parser.NewParser(parser.Options{})

// ParseKey returns the Key of a series in the text format, name{a="x",b="y"}.
func ParseKey(text string) (string, error) {
	series, err := seriesParser.ParseMetric(text)
	if err != nil {
		return "", err
	}
	return Key(series), nil
}

// Ledger records what was submitted. Its methods, and those of its groups, may
// be called from several goroutines.
type Ledger struct {
	mu     sync.Mutex
	groups []*Group
	series map[string]position
}

type position struct {
	group *Group
	index int
}

// Group is series that are always submitted together, with the same timestamp.
type Group struct {
	ledger  *Ledger
	source  string
	gateway bool
	keys    []string
	value   func(i int, at int64) float64
	times   []int64
}

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{series: map[string]position{}} }

// Define adds a group of series of one source, such as a gateway. The gateway
// flag says whether they have a gatewayID. Value computes what was submitted
// for series i at a time in milliseconds; nil means that it is not known.
func (l *Ledger) Define(source string, gateway bool, keys []string, value func(i int, at int64) float64) *Group {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := &Group{ledger: l, source: source, gateway: gateway, keys: keys, value: value}
	l.groups = append(l.groups, g)
	for i, key := range keys {
		l.series[key] = position{g, i}
	}
	return g
}

// Record notes that all series of the group were submitted with a timestamp in
// milliseconds.
func (g *Group) Record(at int64) {
	g.ledger.mu.Lock()
	defer g.ledger.mu.Unlock()
	g.times = append(g.times, at)
}

// Totals is how much was submitted.
type Totals struct {
	Samples       uint64
	GatewaySeries int // series with a gatewayID, of those submitted at least once
}

// Totals counts what was recorded so far.
func (l *Ledger) Totals() Totals {
	l.mu.Lock()
	defer l.mu.Unlock()
	var t Totals
	for _, g := range l.groups {
		t.Samples += uint64(len(g.times)) * uint64(len(g.keys))
		if g.gateway && len(g.times) > 0 {
			t.GatewaySeries += len(g.keys)
		}
	}
	return t
}

// distinctTimes returns the group's timestamps, each once, ascending. The
// ledger's mutex is held.
func (g *Group) distinctTimes() []int64 {
	times := slices.Clone(g.times)
	slices.Sort(times)
	return slices.Compact(times)
}
