package groups

import (
	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/edgehub/internal/native"
)

// checkNative refuses native histograms that are none: a Prometheus would refuse the whole scrape
// for one. It returns how many buckets there are.
func checkNative(name string, d *dto.Histogram) (buckets int, err *RefusedError) {
	h := native.Histogram{
		Schema: d.GetSchema(), ZeroThreshold: d.GetZeroThreshold(), Count: d.GetSampleCount(), ZeroCount: d.GetZeroCount(), Sum: d.GetSampleSum(),
		CountPart: d.GetSampleCountFloat(), ZeroPart: d.GetZeroCountFloat(),
		Positive: native.Side{Spans: spans(d.PositiveSpan), Deltas: d.PositiveDelta, Counts: d.PositiveCount},
		Negative: native.Side{Spans: spans(d.NegativeSpan), Deltas: d.NegativeDelta, Counts: d.NegativeCount},
	}
	fault := ""
	switch {
	case h.Shown():
		fault = h.Fault()
	case h.Buckets() > 0:
		fault = "has buckets without spans"
	}
	if fault != "" {
		return 0, bad(BadHistogram, "a native histogram of %s %s", name, fault)
	}
	return h.Buckets(), nil
}

func spans(all []*dto.BucketSpan) (out []native.Span) {
	for _, s := range all {
		out = append(out, native.Span{Offset: s.GetOffset(), Length: s.GetLength()})
	}
	return out
}
