package fleet

import (
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

func families(t *testing.T, text string) []*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	var out []*dto.MetricFamily
	for _, f := range byName {
		out = append(out, f)
	}
	return out
}

func stream(m model.Metric, pairs ...model.SamplePair) *model.SampleStream {
	return &model.SampleStream{Metric: m, Values: pairs}
}

func TestLedgerFindsEveryDifference(t *testing.T) {
	l := newLedger()
	m := Member{Gateway: "g"}
	require.NoError(t, l.enter(m, 1000, families(t, "a{x=\"\"} 1 1000\nb NaN 1000\n")))
	require.NoError(t, l.enter(m, 2000, families(t, "a 2 2000\n")))
	require.Equal(t, 2, l.Series("g"))
	require.Equal(t, []Report{{At: 2000, Samples: 1}}, l.Reports("g", 1000))

	series := func(name model.LabelValue, shard model.LabelValue) model.Metric {
		return model.Metric{"__name__": name, "networkID": "e2e", "gatewayID": "g", "job": "edgehub", "shard": shard}
	}
	one := model.Matrix{
		stream(series("a", "0"), model.SamplePair{Timestamp: 1000, Value: 1}, model.SamplePair{Timestamp: 2000, Value: 2}),
		stream(series("b", "0"), model.SamplePair{Timestamp: 1000, Value: model.SampleValue(math.NaN())}),
	}
	require.Equal(t, Difference{Equal: 3}, l.Compare("g", one))

	other := model.Matrix{
		stream(series("a", "1"), model.SamplePair{Timestamp: 1000, Value: 1}, model.SamplePair{Timestamp: 2000, Value: 2.5}),
		stream(series("c", "1"), model.SamplePair{Timestamp: 1000, Value: 3}),
	}
	d := l.Compare("g", one[:1], other)
	require.Equal(t, 3, d.Equal)
	require.Equal(t, []string{`a{gatewayID="g", networkID="e2e"} 1 @1000`}, strs(d.Twice))
	require.Equal(t, []string{`b{gatewayID="g", networkID="e2e"} NaN @1000`}, strs(d.Missing))
	require.Equal(t, []string{
		`a{gatewayID="g", networkID="e2e"} 2.5 @2000`,
		`c{gatewayID="g", networkID="e2e"} 3 @1000`,
	}, strs(d.Foreign))
}

func TestKeyWritesBucketsInOneWay(t *testing.T) {
	l := newLedger()
	require.NoError(t, l.enter(Member{Gateway: "g"}, 1, families(t, `# TYPE h histogram
h_bucket{le="1"} 1 1
h_bucket{le="+Inf"} 1 1
h_sum 1 1
h_count 1 1
`)))
	stored := model.Metric{"__name__": "h_bucket", "le": "1.0", "networkID": "e2e", "gatewayID": "g"}
	require.Len(t, l.Compare("g", model.Matrix{stream(stored, model.SamplePair{Timestamp: 1, Value: 1})}).Missing, 3)
}

func strs(samples []Sample) []string {
	var out []string
	for _, s := range samples {
		out = append(out, s.String())
	}
	return out
}
