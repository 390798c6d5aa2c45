package groups

import (
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// Describe is a group as the API shows it: names and values to be written as JSON, all numbers as texts, since
// JSON has no NaN.
func (g *Group) Describe() map[string]any {
	described := map[string]any{
		"labels":               labelMap(g.Labels),
		"last_push_successful": !g.Failed.After(g.Pushed),
	}
	for _, f := range append(timesOf([]*Group{g}), g.Families...) {
		metrics := make([]map[string]any, 0, len(f.Metrics))
		for _, m := range f.Metrics {
			metrics = append(metrics, f.describe(m))
		}
		described[f.Name] = map[string]any{
			"time_stamp": g.Pushed.UTC().Format(time.RFC3339Nano),
			"type":       f.Type.String(),
			"help":       f.Help,
			"metrics":    metrics,
		}
	}
	return described
}

func labelMap(labels Labels) map[string]string {
	m := map[string]string{}
	for _, l := range labels {
		m[l.Name] = l.Value
	}
	return m
}

func (f *Family) describe(m *dto.Metric) map[string]any {
	labels := map[string]string{}
	for _, l := range m.Label {
		labels[l.GetName()] = l.GetValue()
	}
	described := map[string]any{"labels": labels}
	switch {
	case m.Counter != nil:
		described["value"] = shortest(m.Counter.GetValue())
	case m.Gauge != nil:
		described["value"] = shortest(m.Gauge.GetValue())
	case m.Untyped != nil:
		described["value"] = shortest(m.Untyped.GetValue())
	case m.Summary != nil:
		quantiles := map[string]string{}
		for _, q := range m.Summary.Quantile {
			quantiles[shortest(q.GetQuantile())] = shortest(q.GetValue())
		}
		described["quantiles"] = quantiles
		described["count"], described["sum"] = shortest(float64(m.Summary.GetSampleCount())), shortest(m.Summary.GetSampleSum())
	case m.Histogram != nil:
		buckets := map[string]string{}
		eachPart(m.Histogram, func(suffix string, bound, value float64) {
			switch part := strings.TrimPrefix(suffix, "_"); part {
			case "bucket":
				buckets[shortest(bound)] = shortest(value)
			default:
				described[part] = shortest(value)
			}
		})
		described["buckets"] = buckets
	}
	return described
}
