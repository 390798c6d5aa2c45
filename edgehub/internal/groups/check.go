package groups

import (
	"cmp"
	"hash/maphash"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/exposition"
)

// The families that each group has of itself.
const (
	pushTime    = "push_time_seconds"
	failureTime = "push_failure_time_seconds"
)

// The labels that make one series of each part of a histogram or summary.
const (
	bucketLabel   = "le"
	quantileLabel = "quantile"
)

// Family is what a group has of a metric family. It does not change.
type Family struct {
	Name, Help string
	Type       dto.MetricType
	Metrics    []*dto.Metric // with all labels, in the order of these

	series int      // that it makes, at most
	hashes []uint64 // of its metrics' names and labels
}

// checker makes families of what was pushed to a group.
type checker struct {
	limits   Limits
	reserved []string
	labels   Labels
	seed     maphash.Seed
}

// families checks what was pushed, and puts it into the form in which it is kept. It takes what
// it is given.
func (c *checker) families(pushed []*dto.MetricFamily) ([]*Family, *RefusedError) {
	var families []*Family
	for _, f := range pushed {
		name := f.GetName()
		if name == pushTime || name == failureTime || len(f.Metric) == 0 {
			continue // a group has these of itself, and what is empty says nothing
		}
		family, err := c.family(f)
		if err != nil {
			return nil, err
		}
		families = append(families, family)
	}
	return families, nil
}

func (c *checker) family(f *dto.MetricFamily) (*Family, *RefusedError) {
	name := f.GetName()
	switch {
	case !exposition.ValidMetricName(name):
		return nil, bad(Malformed, "%.100q is no name of a metric", name)
	case slices.Contains(c.reserved, name):
		return nil, bad(Reserved, "%s is a name of the hub's own", name)
	case len(f.GetHelp()) > c.limits.SeriesBytes:
		return nil, bad(Malformed, "the help of %s has %d bytes, and the limit is %d", name, len(f.GetHelp()), c.limits.SeriesBytes)
	case !utf8.ValidString(f.GetHelp()):
		return nil, bad(Malformed, "the help of %s is not UTF-8", name)
	}
	if _, known := dto.MetricType_name[int32(f.GetType())]; !known {
		return nil, bad(Malformed, "the type %d of %s is none", f.GetType(), name)
	}
	family := &Family{Name: name, Help: f.GetHelp(), Type: f.GetType(), Metrics: f.Metric, hashes: make([]uint64, 0, len(f.Metric))}
	for _, m := range f.Metric {
		if m == nil {
			return nil, bad(Malformed, "%s has a metric that is none", name)
		}
		if m.TimestampMs != nil {
			return nil, bad(Timestamp, "%s has a timestamp, and what is pushed to a group has none: it is scraped as of the scrape; to keep timestamps push to /metrics", name)
		}
		if err := c.label(family, m); err != nil {
			return nil, err
		}
		n, err := value(family, m)
		if err != nil {
			return nil, err
		}
		family.series += n
		family.hashes = append(family.hashes, c.hash(name, m.Label))
	}
	slices.SortStableFunc(family.Metrics, func(a, b *dto.Metric) int { return slices.CompareFunc(a.Label, b.Label, compareLabels) })
	return family, nil
}

func compareLabels(a, b *dto.LabelPair) int {
	return cmp.Or(strings.Compare(a.GetName(), b.GetName()), strings.Compare(a.GetValue(), b.GetValue()))
}

// label gives a metric the labels of its group, which win, and an empty instance where there is none.
func (c *checker) label(f *Family, m *dto.Metric) *RefusedError {
	labels := make([]*dto.LabelPair, 0, len(m.Label)+len(c.labels)+1)
	hasInstance, size := false, len(f.Name)
	add := func(l *dto.LabelPair) {
		labels = append(labels, l)
		hasInstance = hasInstance || l.GetName() == instance
		size += len(l.GetName()) + len(l.GetValue())
	}
	for _, l := range m.Label {
		switch {
		case !exposition.ValidLabelName(l.GetName()) || l.GetName() == "__name__":
			return bad(Malformed, "%s has a label with the name %.60q, which is none", f.Name, l.GetName())
		case !utf8.ValidString(l.GetValue()):
			return bad(Malformed, "label %s of %s is not UTF-8", l.GetName(), f.Name)
		}
		if _, grouping := c.labels.Find(l.GetName()); !grouping {
			add(l)
		}
	}
	for _, l := range c.labels {
		add(&dto.LabelPair{Name: proto.String(l.Name), Value: proto.String(l.Value)})
	}
	if !hasInstance {
		add(&dto.LabelPair{Name: proto.String(instance), Value: proto.String("")})
	}
	if len(labels) > c.limits.Labels || size > c.limits.SeriesBytes {
		return bad(Malformed, "a metric of %s has %d labels and %d bytes, and the limits are %d and %d", f.Name, len(labels), size, c.limits.Labels, c.limits.SeriesBytes)
	}
	slices.SortFunc(labels, compareLabels)
	for i, l := range labels {
		if i > 0 && l.GetName() == labels[i-1].GetName() {
			return bad(Malformed, "a metric of %s has the label %s twice", f.Name, l.GetName())
		}
		if partLabel(f.Type) == l.GetName() {
			return bad(Malformed, "a metric of %s, a %s, has the label %s, which is for its parts", f.Name, typeName(f.Type), l.GetName())
		}
	}
	m.Label = labels
	return nil
}

// partLabel is the label that the parts of a type have.
func partLabel(t dto.MetricType) string {
	switch t {
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		return bucketLabel
	case dto.MetricType_SUMMARY:
		return quantileLabel
	default:
		return ""
	}
}

// hash is that of a series. A label without a value is none.
func (c *checker) hash(name string, labels []*dto.LabelPair) uint64 {
	var h maphash.Hash
	h.SetSeed(c.seed)
	h.WriteString(name)
	for _, l := range labels {
		if l.GetValue() != "" {
			h.WriteByte(0xff)
			h.WriteString(l.GetName())
			h.WriteByte(0xff)
			h.WriteString(l.GetValue())
		}
	}
	return h.Sum64()
}

// value checks that a metric has a value of its family's type, and returns how many series it makes.
func value(f *Family, m *dto.Metric) (series int, err *RefusedError) {
	has := false
	series = 1
	switch f.Type {
	case dto.MetricType_COUNTER:
		has = m.Counter != nil
	case dto.MetricType_GAUGE:
		has = m.Gauge != nil
	case dto.MetricType_UNTYPED:
		has = m.Untyped != nil
	case dto.MetricType_SUMMARY:
		if has = m.Summary != nil; has {
			series, err = summary(f.Name, m.Summary)
		}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		if has = m.Histogram != nil; has {
			series, err = histogram(f.Name, m.Histogram)
		}
	}
	if !has {
		return 0, bad(Malformed, "%s is a %s and has a metric with another value", f.Name, typeName(f.Type))
	}
	return series, err
}

func summary(name string, s *dto.Summary) (series int, err *RefusedError) {
	slices.SortFunc(s.Quantile, func(a, b *dto.Quantile) int { return cmp.Compare(a.GetQuantile(), b.GetQuantile()) })
	for i, q := range s.Quantile {
		if math.IsNaN(q.GetQuantile()) || i > 0 && q.GetQuantile() == s.Quantile[i-1].GetQuantile() {
			return 0, bad(Duplicate, "a summary of %s has the quantile %v twice, or it is no number", name, q.GetQuantile())
		}
	}
	return len(s.Quantile) + 2, nil
}

func histogram(name string, h *dto.Histogram) (series int, err *RefusedError) {
	slices.SortFunc(h.Bucket, func(a, b *dto.Bucket) int { return cmp.Compare(a.GetUpperBound(), b.GetUpperBound()) })
	for i, b := range h.Bucket {
		if math.IsNaN(b.GetUpperBound()) || i > 0 && b.GetUpperBound() == h.Bucket[i-1].GetUpperBound() {
			return 0, bad(Duplicate, "a histogram of %s has the bucket %v twice, or it is no number", name, b.GetUpperBound())
		}
	}
	native, err := checkNative(name, h)
	return len(h.Bucket) + 3 + native, err
}
