// Package fleet simulates edge gateways and the cloud services beside them.
//
// Every source reports the same families at each report, with values that
// depend only on the series and the time: a checker can compute what a store
// must hold. Sources of a sort share one set of protobuf messages, so a report
// writes numbers and allocates nothing; what Submit is given is only valid
// until the next report, which is all that the exporter asks for.
package fleet

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hubring/hubring/exporter/magma"
)

// What the sources of each sort report, and how many there are of no gateway:
// 6 × 200 + 3 × 100 = 1,500 series.
const (
	GatewaySeries = 303
	cloudHosts    = 6
	pushNetworks  = 3
)

// Source is one gateway, cloud host or pushing network.
type Source struct {
	Name    string
	Gateway bool // false for what belongs to no gateway

	context  magma.AdditionalMetricContext
	labels   []labels.Label // what the context adds to every series
	seed     uint64
	template *template
}

// New makes a fleet of so many gateways and the sources of no gateway. The
// sources are in the order in which they report.
func New(gateways int) []*Source {
	var sources []*Source
	sort := newTemplate(gatewaySpecs)
	for i := range gateways {
		network, name := fmt.Sprintf("network-%d", i%pushNetworks), fmt.Sprintf("gw-%04d", i)
		sources = append(sources, newSource(name, sort,
			&magma.GatewayMetricContext{NetworkID: network, GatewayID: name},
			labels.Label{Name: "gatewayID", Value: name}, labels.Label{Name: "networkID", Value: network}))
		sources[i].Gateway = true
	}
	sort = newTemplate(cloudSpecs)
	for i := range cloudHosts {
		host := fmt.Sprintf("orc8r-%d", i)
		sources = append(sources, newSource(host, sort,
			&magma.CloudMetricContext{CloudHost: host}, labels.Label{Name: "cloudHost", Value: host}))
	}
	sort = newTemplate(pushedSpecs)
	for i := range pushNetworks {
		network := fmt.Sprintf("network-%d", i)
		sources = append(sources, newSource("push-"+network, sort,
			&magma.PushedMetricContext{NetworkID: network}, labels.Label{Name: "networkID", Value: network}))
	}
	return sources
}

func newSource(name string, t *template, c magma.AdditionalMetricContext, extra ...labels.Label) *Source {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &Source{Name: name, context: c, labels: extra, seed: h.Sum64(), template: t}
}

// Series returns the labels of the source's series, as a query sees them. Value
// counts series in this order.
func (s *Source) Series() []labels.Labels {
	all := make([]labels.Labels, 0, len(s.template.series))
	for _, slot := range s.template.series {
		b := labels.NewBuilder(slot.labels)
		for _, l := range s.labels {
			b.Set(l.Name, l.Value)
		}
		all = append(all, b.Labels())
	}
	return all
}

// Value is the value of the source's series i at a time in milliseconds.
func (s *Source) Value(i int, at int64) float64 { return s.template.value(s.seed, i, at) }

// Report returns what the source reports at a time in milliseconds. It is valid
// until another source reports: reports are made by one goroutine.
func (s *Source) Report(at int64) []magma.MetricAndContext {
	t := s.template
	t.write(s.seed, at)
	t.items = t.items[:0]
	for _, f := range t.families {
		t.items = append(t.items, magma.MetricAndContext{
			Family:  f,
			Context: magma.MetricContext{MetricName: f.GetName(), AdditionalContext: s.context},
		})
	}
	return t.items
}

// Run lets every source report once in each interval, each at its own fixed
// time within it, until the context ends. It calls report in its own goroutine,
// with the time in milliseconds.
func Run(ctx context.Context, sources []*Source, interval time.Duration, report func(s *Source, at int64)) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for start := time.Now(); ; start = nextRound(start, interval) {
		for i, s := range sources {
			timer.Reset(time.Until(start.Add(interval * time.Duration(i) / time.Duration(len(sources)))))
			select {
			case <-ctx.Done():
				return
			case now := <-timer.C:
				report(s, now.UnixMilli())
			}
		}
	}
}

// nextRound is the next multiple of the interval after start. A process that
// was suspended leaves rounds out instead of making up for them.
func nextRound(start time.Time, interval time.Duration) time.Time {
	missed := time.Since(start) / interval
	return start.Add(interval * max(missed, 1))
}
