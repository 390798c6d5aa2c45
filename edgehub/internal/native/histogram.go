package native

import "math"

// The schemas that Prometheus knows of histograms with exponential buckets.
const minSchema, maxSchema = -4, 8

// maxIndex bounds the numbers of buckets, so that none overflows.
const maxIndex = math.MaxInt32 / 4

// Histogram is what there is to check of a native histogram.
type Histogram struct {
	Schema              int32
	ZeroThreshold       float64
	Count, ZeroCount    uint64
	Sum                 float64
	CountPart, ZeroPart float64 // where counts need not be whole
	Positive, Negative  Side
}

// Side is the buckets on one side of zero. Where counts are whole there are deltas.
type Side struct {
	Spans  []Span
	Deltas []int64
	Counts []float64
}

// Span is some buckets that follow each other.
type Span struct {
	Offset int32
	Length uint32
}

// Shown says whether Prometheus sees that it is a native histogram. One without observations may have an empty span to say so.
func (h *Histogram) Shown() bool {
	return len(h.Positive.Spans)+len(h.Negative.Spans) > 0 || h.ZeroThreshold > 0 || h.ZeroCount > 0
}

// Buckets is how many there are.
func (h *Histogram) Buckets() int { return h.Positive.buckets() + h.Negative.buckets() }

func (s *Side) buckets() int { return max(len(s.Deltas), len(s.Counts)) }

// Fault is why it is none, behind a name: "has …". It is empty where nothing is wrong.
func (h *Histogram) Fault() string {
	parts := h.CountPart > 0 || h.ZeroPart > 0
	switch {
	case h.Schema < minSchema || h.Schema > maxSchema:
		return "has a schema that is none"
	case !h.Positive.spansFit() || !h.Negative.spansFit():
		return "has spans that do not fit its buckets"
	case math.IsNaN(h.ZeroThreshold) || h.ZeroThreshold < 0:
		return "has a zero bucket of a width below 0"
	case parts && !h.partsFit():
		return "has counts that are none"
	case !parts && !h.wholeCountsFit():
		return "has counts that do not add up"
	}
	return ""
}

// spansFit says whether spans name as many buckets as there are, in order.
func (s *Side) spansFit() bool {
	index, named := int64(0), int64(0)
	for i, span := range s.Spans {
		if i > 0 && span.Offset < 0 {
			return false
		}
		index += int64(span.Offset) + int64(span.Length)
		named += int64(span.Length)
		if index > maxIndex || index < -maxIndex || span.Length > maxIndex {
			return false
		}
	}
	return named == int64(s.buckets())
}

func (h *Histogram) partsFit() bool {
	return len(h.Positive.Deltas)+len(h.Negative.Deltas) == 0 && isCount(h.CountPart) && isCount(h.ZeroPart) &&
		areCounts(h.Positive.Counts) && areCounts(h.Negative.Counts)
}

func isCount(v float64) bool { return v >= 0 && !math.IsInf(v, 1) }

func areCounts(values []float64) bool {
	for _, v := range values {
		if !isCount(v) {
			return false
		}
	}
	return true
}

// wholeCountsFit says whether the buckets of a histogram of whole numbers have as many observations as it has. Those of NaN are in
// no bucket, and make the sum NaN.
func (h *Histogram) wholeCountsFit() bool {
	if len(h.Positive.Counts)+len(h.Negative.Counts) > 0 {
		return false
	}
	const most = math.MaxInt64 / 4
	if h.Count > most || h.ZeroCount > h.Count {
		return false
	}
	sum := int64(h.ZeroCount)
	for _, deltas := range [][]int64{h.Positive.Deltas, h.Negative.Deltas} {
		bucket := int64(0)
		for _, d := range deltas {
			if d > most || d < -most {
				return false
			}
			bucket += d
			sum += bucket
			if bucket < 0 || sum > int64(h.Count) {
				return false
			}
		}
	}
	return sum == int64(h.Count) || math.IsNaN(h.Sum)
}
