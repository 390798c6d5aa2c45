package groups

import (
	"math"

	dto "github.com/prometheus/client_model/go"
)

// The schemas that Prometheus knows of histograms with exponential buckets.
const minSchema, maxSchema = -4, 8

// maxIndex bounds the numbers of buckets, so that none overflows.
const maxIndex = math.MaxInt32 / 4

// isNative says whether Prometheus reads a native histogram from h.
func isNative(h *dto.Histogram) bool {
	return len(h.PositiveSpan)+len(h.NegativeSpan) > 0 || h.GetZeroThreshold() > 0 || h.GetZeroCount() > 0 || h.GetZeroCountFloat() > 0
}

// checkNative refuses native histograms that are none: a Prometheus would refuse the whole scrape
// for one. It returns how many buckets there are.
func checkNative(name string, h *dto.Histogram) (buckets int, err *RefusedError) {
	positive, negative := max(len(h.PositiveDelta), len(h.PositiveCount)), max(len(h.NegativeDelta), len(h.NegativeCount))
	buckets = positive + negative
	float := h.GetSampleCountFloat() > 0 || h.GetZeroCountFloat() > 0
	fault := ""
	switch {
	case !isNative(h):
		if buckets > 0 {
			fault = "has buckets without spans"
		}
	case h.GetSchema() < minSchema || h.GetSchema() > maxSchema:
		fault = "has a schema that is none"
	case !spansFit(h.PositiveSpan, positive) || !spansFit(h.NegativeSpan, negative):
		fault = "has spans that do not fit its buckets"
	case math.IsNaN(h.GetZeroThreshold()) || h.GetZeroThreshold() < 0:
		fault = "has a zero bucket of a width below 0"
	case float && (len(h.PositiveDelta)+len(h.NegativeDelta) > 0 || !counts(h.PositiveCount) || !counts(h.NegativeCount) ||
		!counts([]float64{h.GetSampleCountFloat(), h.GetZeroCountFloat()})):
		fault = "has counts that are none"
	case !float && !wholeCountsFit(h):
		fault = "has counts that do not add up"
	}
	if fault != "" {
		return 0, bad(BadHistogram, "a native histogram of %s %s", name, fault)
	}
	return buckets, nil
}

// spansFit says whether spans name so many buckets, in order.
func spansFit(spans []*dto.BucketSpan, buckets int) bool {
	index, named := int64(0), int64(0)
	for i, s := range spans {
		if i > 0 && s.GetOffset() < 0 {
			return false
		}
		index += int64(s.GetOffset()) + int64(s.GetLength())
		named += int64(s.GetLength())
		if index > maxIndex || index < -maxIndex || s.GetLength() > maxIndex {
			return false
		}
	}
	return named == int64(buckets)
}

func counts(values []float64) bool {
	for _, v := range values {
		if !(v >= 0) || math.IsInf(v, 1) {
			return false
		}
	}
	return true
}

// wholeCountsFit says whether the buckets of a histogram of whole numbers have as many observations as it has. Those of NaN are in
// no bucket, and make the sum NaN.
func wholeCountsFit(h *dto.Histogram) bool {
	if len(h.PositiveCount)+len(h.NegativeCount) > 0 {
		return false
	}
	const most = math.MaxInt64 / 4
	if h.GetSampleCount() > most || h.GetZeroCount() > h.GetSampleCount() {
		return false
	}
	sum := int64(h.GetZeroCount())
	for _, deltas := range [][]int64{h.PositiveDelta, h.NegativeDelta} {
		bucket := int64(0)
		for _, d := range deltas {
			if d > most || d < -most {
				return false
			}
			bucket += d
			sum += bucket
			if bucket < 0 || sum > int64(h.GetSampleCount()) {
				return false
			}
		}
	}
	return sum == int64(h.GetSampleCount()) || math.IsNaN(h.GetSampleSum())
}
