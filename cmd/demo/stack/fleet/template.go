package fleet

import (
	"math"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/magma"
)

// template is the metric families of one sort of source, made once. A report
// of any source of the sort writes its values and its time into them. The
// order of series is that of the families, of their metrics, and in a
// histogram: the buckets, +Inf, sum, count.
type template struct {
	families []*dto.MetricFamily
	series   []slot
	values   []float64 // of the report that is being written
	items    []magma.MetricAndContext
}

// slot is one series of a template.
type slot struct {
	labels    labels.Labels // without those that the source's context sets
	form      form
	share     float64 // of a bucket: how many of the observations it counts
	low, high float64
	metric    int // which metric it belongs to: the parts of a histogram agree
}

// form says how a series' value follows from the time.
type form int

const (
	grows     form = iota // a counter
	swings                // a gauge
	observed              // a histogram's bucket or count
	totalised             // a histogram's sum
)

// bounds are the upper bounds of every histogram's buckets, and shares how much
// of the observations lies below each.
var (
	bounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
	shares = []float64{0.02, 0.08, 0.25, 0.5, 0.72, 0.88, 0.95, 0.98, 0.995, 0.999, 0.9999}
)

const meanObservation = 0.125 // seconds

func newTemplate(specs []spec) *template {
	t := &template{}
	metrics := 0
	for _, s := range specs {
		family := &dto.MetricFamily{Name: proto.String(s.name), Help: proto.String(s.help), Type: s.kind.Enum()}
		for _, pairs := range combinations(s.labels) {
			family.Metric = append(family.Metric, newMetric(s.kind, pairs))
			t.addSlots(s, pairs, metrics)
			metrics++
		}
		t.families = append(t.families, family)
	}
	t.values = make([]float64, len(t.series))
	return t
}

func combinations(dims []dimension) [][]*dto.LabelPair {
	all := [][]*dto.LabelPair{nil}
	for _, d := range dims {
		var longer [][]*dto.LabelPair
		for _, prefix := range all {
			for _, v := range d.values {
				pair := &dto.LabelPair{Name: proto.String(d.label), Value: proto.String(v)}
				longer = append(longer, append(prefix[:len(prefix):len(prefix)], pair))
			}
		}
		all = longer
	}
	return all
}

func newMetric(kind dto.MetricType, pairs []*dto.LabelPair) *dto.Metric {
	m := &dto.Metric{Label: pairs, TimestampMs: proto.Int64(0)}
	switch kind {
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: proto.Float64(0)}
	case dto.MetricType_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleSum: proto.Float64(0), SampleCount: proto.Uint64(0)}
		for _, bound := range bounds {
			m.Histogram.Bucket = append(m.Histogram.Bucket,
				&dto.Bucket{UpperBound: proto.Float64(bound), CumulativeCount: proto.Uint64(0)})
		}
	default:
		m.Gauge = &dto.Gauge{Value: proto.Float64(0)}
	}
	return m
}

func (t *template) addSlots(s spec, pairs []*dto.LabelPair, metric int) {
	add := func(name string, f form, share float64, extra ...string) {
		b := labels.NewBuilder(labels.FromStrings(extra...))
		b.Set(model.MetricNameLabel, name)
		for _, p := range pairs {
			b.Set(p.GetName(), p.GetValue())
		}
		t.series = append(t.series, slot{b.Labels(), f, share, s.low, s.high, metric})
	}
	switch s.kind {
	case dto.MetricType_COUNTER:
		add(s.name, grows, 1)
	case dto.MetricType_HISTOGRAM:
		for i, bound := range bounds {
			add(s.name+"_bucket", observed, shares[i], labels.BucketLabel, labels.FormatOpenMetricsFloat(bound))
		}
		add(s.name+"_bucket", observed, 1, labels.BucketLabel, "+Inf")
		add(s.name+"_sum", totalised, 1)
		add(s.name+"_count", observed, 1)
	default:
		add(s.name, swings, 1)
	}
}

// write puts the values of a source at a time (in milliseconds) into the
// families.
func (t *template) write(seed uint64, at int64) {
	for i := range t.series {
		t.values[i] = t.value(seed, i, at)
	}
	rest := t.values
	take := func() float64 {
		v := rest[0]
		rest = rest[1:]
		return v
	}
	for _, f := range t.families {
		for _, m := range f.Metric {
			*m.TimestampMs = at
			switch {
			case m.Counter != nil:
				*m.Counter.Value = take()
			case m.Gauge != nil:
				*m.Gauge.Value = take()
			default:
				for _, b := range m.Histogram.Bucket {
					*b.CumulativeCount = uint64(take())
				}
				take() // +Inf is the count
				*m.Histogram.SampleSum = take()
				*m.Histogram.SampleCount = uint64(take())
			}
		}
	}
}

// epoch is when every counter stood at 0: 1 January 2025, in seconds.
const epoch = 1735689600

// value is series i's value at a time in milliseconds. It depends on nothing
// but the arguments, so that what a store holds can be checked.
func (t *template) value(seed uint64, i int, at int64) float64 {
	s := &t.series[i]
	chance := mix(seed ^ mix(uint64(s.metric)))
	part := float64(chance>>11) / (1 << 53) // in [0, 1)
	age := max(float64(at)/1000-epoch, 0)
	switch s.form {
	case grows:
		return math.Floor(age * (s.low + part*(s.high-s.low)))
	case observed:
		return math.Floor(s.share * math.Floor(age*(s.low+part*(s.high-s.low))))
	case totalised:
		return meanObservation * math.Floor(age*(s.low+part*(s.high-s.low)))
	default: // swings
		period := 60 + 3600*part // seconds
		wave := 0.5 + 0.5*math.Sin(2*math.Pi*(age/period+part))
		return math.Round(1000*(s.low+wave*(s.high-s.low))) / 1000
	}
}

// mix spreads the bits of x (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
