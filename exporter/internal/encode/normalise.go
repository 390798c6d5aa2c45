package encode

import (
	"math"
	"strings"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

// valueSuffix is what the lines with a bound label append to the family's name.
func valueSuffix(k wire.Kind) string {
	if k == wire.Histogram {
		return "_bucket"
	}
	return ""
}

// boundLabel is the label that a kind adds to some of its samples.
func boundLabel(k wire.Kind) string {
	switch k {
	case wire.Summary:
		return "quantile"
	case wire.Histogram:
		return "le"
	default:
		return ""
	}
}

// kindOf returns wire.NoKind for a type that is not known.
func kindOf(t dto.MetricType) wire.Kind {
	switch t {
	case dto.MetricType_COUNTER:
		return wire.Counter
	case dto.MetricType_GAUGE:
		return wire.Gauge
	case dto.MetricType_UNTYPED:
		return wire.Untyped
	case dto.MetricType_SUMMARY:
		return wire.Summary
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return wire.Histogram
	default:
		return wire.NoKind
	}
}

// submittedName returns the name that the family goes by.
func submittedName(m *magma.MetricAndContext) string {
	if name := m.Context.MetricName; name != "" {
		return name
	}
	return m.Family.GetName()
}

// sanitised returns the name as it is written: each rune
// that a metric name must not have becomes an underscore, and one is put before
// a leading digit. Only an empty name stays empty.
//
// Names are those of the text format 0.0.4: a receiver that does not know the
// quoted UTF-8 names of Prometheus 3 would refuse all of a request for one. A
// label with such a name is no label to sanitise, since two could become one: its
// metric is dropped.
func sanitised(name string) string {
	if name == "" || exposition.ValidMetricName(name) {
		return name
	}
	var b strings.Builder
	b.Grow(len(name) + 1)
	if '0' <= name[0] && name[0] <= '9' {
		b.WriteByte('_')
	}
	for _, r := range name {
		if r == '_' || r == ':' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	return b.String()
}

// checkMetric reports whether the metric has what its kind needs.
func checkMetric(k wire.Kind, m *dto.Metric) reason.Reason {
	if m == nil {
		return reason.MissingMetric
	}
	ok := false
	switch k {
	case wire.Counter:
		ok = m.Counter != nil
	case wire.Gauge:
		ok = m.Gauge != nil
	case wire.Untyped:
		ok = m.Untyped != nil
	case wire.Summary:
		ok = m.Summary != nil
		for _, q := range m.GetSummary().GetQuantile() {
			if q == nil || math.IsNaN(q.GetQuantile()) {
				return reason.InvalidBound
			}
		}
	case wire.Histogram:
		ok = m.Histogram != nil
		for _, b := range m.GetHistogram().GetBucket() {
			if b == nil || math.IsNaN(b.GetUpperBound()) {
				return reason.InvalidBound
			}
		}
	default: // family has refused it
	}
	if !ok {
		return reason.MissingValue
	}
	return reason.Taken
}

// sampleCount returns how many samples the metric has in the text format. A
// metric that cannot be written counts as one.
func sampleCount(k wire.Kind, m *dto.Metric) int {
	switch {
	case k == wire.Summary && m.GetSummary() != nil:
		return len(m.Summary.Quantile) + 2
	case k == wire.Histogram && m.GetHistogram() != nil:
		n := len(m.Histogram.Bucket) + 2
		if !hasInf(m.Histogram.Bucket) {
			n++
		}
		return n
	}
	return 1
}

func hasInf(buckets []*dto.Bucket) bool {
	for _, b := range buckets {
		if math.IsInf(b.GetUpperBound(), +1) {
			return true
		}
	}
	return false
}

// Count returns how many samples the families have. A nil family counts
// as one, so that it is seen.
func Count(items []magma.MetricAndContext) int {
	n := 0
	for i := range items {
		n += familySamples(items[i].Family)
	}
	return n
}

func familySamples(f *dto.MetricFamily) int {
	if f == nil {
		return 1
	}
	n, k := 0, kindOf(f.GetType())
	for _, m := range f.Metric {
		n += sampleCount(k, m)
	}
	return n
}
