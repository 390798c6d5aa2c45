package compare

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/otlptranslator"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote/otlptranslator/prometheusremotewrite"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/otlp"
	"github.com/hubring/hubring/internal/exposition"
)

// otlpPromoted are the resource attributes that become labels here; the first is the gateway's.
var otlpPromoted = []string{"gatewayID", "host.name"}

// Whatever a request has that is cumulative, its series, values, times, types, exemplars and start times are those that Prometheus' own
// OTLP receiver makes of it, in protobuf and in JSON. Start times and exemplars of gauges are left away, and a classic histogram or summary has one.
func TestOTLPIsTranslatedAsByPrometheus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		strategy := otlptranslator.TranslationStrategyOption(rapid.SampledFrom(otlp.Strategies).Draw(t, "strategy"))
		scopes := rapid.Bool().Draw(t, "scopes")
		request := pmetricotlp.NewExportRequestFromMetrics(drawMetrics(t))
		message, err := request.MarshalProto()
		require.NoError(t, err)
		text, err := request.MarshalJSON()
		require.NoError(t, err)
		request = pmetricotlp.NewExportRequest()
		require.NoError(t, request.UnmarshalProto(message)) // without what was lost on its way, such as the sign of 0
		theirs := &otlpRecorder{t: t, parser: exposition.NewSeriesParser(exposition.Limits{SeriesBytes: 1 << 20, Labels: 1 << 10})}
		_, err = prometheusremotewrite.NewPrometheusConverter(theirs).FromMetrics(context.Background(), request.Metrics(), prometheusremotewrite.Settings{
			AddMetricSuffixes: strategy.ShouldAddSuffixes(), AllowUTF8: !strategy.ShouldEscape(), PromoteScopeMetadata: scopes,
			PromoteResourceAttributes: prometheusremotewrite.NewPromoteResourceAttributes(config.OTLPConfig{PromoteResourceAttributes: otlpPromoted}),
		})
		require.NoError(t, err)
		translator, err := otlp.New(otlp.Config{Strategy: string(strategy), Promote: otlpPromoted[1:], Gateway: otlpPromoted[0], ScopeMetadata: scopes})
		require.NoError(t, err)
		fromJSON, err := otlp.FromJSON(nil, text)
		require.NoError(t, err)
		for _, message := range [][]byte{message, fromJSON} {
			ours := &otlpRecorder{t: t, parser: theirs.parser}
			require.NoError(t, translator.Protobuf(message, ours, func(metric string, points int, err error) {
				t.Fatalf("%d points of %s are refused: %v", points, metric, err)
			}))
			require.Equal(t, theirs.all(), ours.all(), "%s", text)
		}
	})
}

func drawMetrics(t *rapid.T) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for range rapid.IntRange(1, 3).Draw(t, "resources") {
		rm := md.ResourceMetrics().AppendEmpty()
		drawAttributes(t, rm.Resource().Attributes(), "service.name", "service.namespace", "service.instance.id", "gatewayID", "host.name", "host_name", "os", "job")
		for range rapid.IntRange(1, 2).Draw(t, "scopes") {
			sm := rm.ScopeMetrics().AppendEmpty()
			sm.SetSchemaUrl(rapid.SampledFrom([]string{"", "https://schema"}).Draw(t, "schema"))
			sm.Scope().SetName(rapid.SampledFrom([]string{"", "lib"}).Draw(t, "scope"))
			sm.Scope().SetVersion(rapid.SampledFrom([]string{"", "1"}).Draw(t, "version"))
			drawAttributes(t, sm.Scope().Attributes(), "tier", "name", "a.b", "a_b")
			for range rapid.IntRange(1, 4).Draw(t, "metrics") {
				drawMetric(t, sm.Metrics().AppendEmpty())
			}
		}
	}
	return md
}

func drawAttributes(t *rapid.T, to pcommon.Map, names ...string) {
	for _, name := range names {
		if rapid.Bool().Draw(t, name) {
			drawValue(t, to.PutEmpty(name), 2)
		}
	}
}

func drawValue(t *rapid.T, to pcommon.Value, depth int) {
	kinds := 6
	if depth > 0 {
		kinds = 8
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0, 1:
		to.SetStr(rapid.SampledFrom([]string{"", "v", "\"<\\\n>", "ü\u2028"}).Draw(t, "text"))
	case 2:
		to.SetBool(rapid.Bool().Draw(t, "bool"))
	case 3:
		to.SetInt(rapid.Int64().Draw(t, "int"))
	case 4:
		to.SetDouble(drawDouble(t))
	case 5:
		to.SetEmptyBytes().FromRaw(rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "bytes"))
	case 6:
		list := to.SetEmptySlice()
		for range rapid.IntRange(0, 3).Draw(t, "values") {
			drawValue(t, list.AppendEmpty(), depth-1)
		}
	case 7:
		all := to.SetEmptyMap()
		for _, name := range []string{"y", "x"}[:rapid.IntRange(0, 2).Draw(t, "pairs")] {
			drawValue(t, all.PutEmpty(name), depth-1)
		}
	}
}

func drawDouble(t *rapid.T) float64 {
	return rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, 1e-7, 1e21, math.NaN(), math.Inf(1), math.Inf(-1)})).Draw(t, "double")
}

// point is what all kinds of points have.
type otlpPoint interface {
	Attributes() pcommon.Map
	SetTimestamp(pcommon.Timestamp)
	SetStartTimestamp(pcommon.Timestamp)
	SetFlags(pmetric.DataPointFlags)
}

func drawPoint(t *rapid.T, p otlpPoint) {
	drawAttributes(t, p.Attributes(), "k", "http.method", "http_method", "job", "instance", "host.name", "otel_scope_tier", "1st", "z..z", "__name__", "__in.side__")
	at := rapid.IntRange(1_700_000_000_000_000_000, 1_700_000_600_000_000_000).Draw(t, "time")
	p.SetTimestamp(pcommon.Timestamp(at))
	p.SetStartTimestamp(pcommon.Timestamp(rapid.SampledFrom([]int{0, at - 1e10, at}).Draw(t, "start")))
	p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(rapid.IntRange(0, 9).Draw(t, "flags") == 0))
}

func drawMetric(t *rapid.T, m pmetric.Metric) {
	m.SetName(rapid.SampledFrom([]string{"a.b", "a_total", "1x", "http.server.duration", "x__y", "bytes", "ü.x"}).Draw(t, "name"))
	m.SetUnit(rapid.SampledFrom([]string{"", "1", "s", "By", "By/s", "{packets}", "%", "m/mo", "weird unit"}).Draw(t, "unit"))
	points := rapid.IntRange(1, 3).Draw(t, "points")
	const total = pmetric.AggregationTemporalityCumulative
	switch rapid.IntRange(0, 4).Draw(t, "type") {
	case 0:
		for g := m.SetEmptyGauge(); g.DataPoints().Len() < points; {
			drawNumber(t, g.DataPoints().AppendEmpty())
		}
	case 1:
		s := m.SetEmptySum()
		s.SetAggregationTemporality(total)
		s.SetIsMonotonic(rapid.Bool().Draw(t, "monotonic"))
		for s.DataPoints().Len() < points {
			drawNumber(t, s.DataPoints().AppendEmpty())
		}
	case 2:
		h := m.SetEmptyHistogram()
		h.SetAggregationTemporality(total)
		for h.DataPoints().Len() < points {
			drawClassic(t, h.DataPoints().AppendEmpty())
		}
	case 3:
		h := m.SetEmptyExponentialHistogram()
		h.SetAggregationTemporality(total)
		for h.DataPoints().Len() < points {
			drawExponential(t, h.DataPoints().AppendEmpty())
		}
	case 4:
		for s := m.SetEmptySummary(); s.DataPoints().Len() < points; {
			p := s.DataPoints().AppendEmpty()
			drawPoint(t, p)
			p.SetCount(rapid.Uint64().Draw(t, "count"))
			p.SetSum(drawDouble(t))
			for _, q := range []float64{0, 0.5, 0.999, 1}[:rapid.IntRange(0, 4).Draw(t, "quantiles")] {
				v := p.QuantileValues().AppendEmpty()
				v.SetQuantile(q)
				v.SetValue(drawDouble(t))
			}
		}
	}
}

func drawNumber(t *rapid.T, p pmetric.NumberDataPoint) {
	drawPoint(t, p)
	if rapid.Bool().Draw(t, "whole") {
		p.SetIntValue(rapid.Int64().Draw(t, "int"))
	} else {
		p.SetDoubleValue(drawDouble(t))
	}
	drawExemplars(t, p.Exemplars())
}

func drawExemplars(t *rapid.T, to pmetric.ExemplarSlice) {
	for range rapid.IntRange(0, 2).Draw(t, "exemplars") {
		e := to.AppendEmpty()
		e.SetTimestamp(pcommon.Timestamp(rapid.SampledFrom([]int{0, 1_700_000_000_123_456_789}).Draw(t, "at")))
		if rapid.Bool().Draw(t, "whole") {
			e.SetIntValue(rapid.Int64Range(-5, 20).Draw(t, "int"))
		} else {
			e.SetDoubleValue(rapid.Float64Range(-5, 20).Draw(t, "double"))
		}
		if rapid.Bool().Draw(t, "trace") {
			e.SetTraceID([16]byte{1, 15: 2})
			e.SetSpanID([8]byte{3})
		}
		if rapid.Bool().Draw(t, "attribute") {
			e.FilteredAttributes().PutStr("user.id", strings.Repeat("ü", rapid.SampledFrom([]int{1, 60, 120}).Draw(t, "long")))
		}
	}
}

func drawClassic(t *rapid.T, p pmetric.HistogramDataPoint) {
	drawPoint(t, p)
	p.SetCount(rapid.Uint64().Draw(t, "count"))
	if rapid.Bool().Draw(t, "summed") {
		p.SetSum(drawDouble(t))
		p.SetMin(1)
		p.SetMax(2)
	}
	bounds := []float64{-1.5, 0, 0.005, 10, 1e6}[:rapid.IntRange(0, 5).Draw(t, "bounds")]
	p.ExplicitBounds().FromRaw(bounds)
	p.BucketCounts().FromRaw(rapid.SliceOfN(rapid.Uint64Range(0, 1000), 0, len(bounds)+1).Draw(t, "counts"))
	drawExemplars(t, p.Exemplars())
}

func drawExponential(t *rapid.T, p pmetric.ExponentialHistogramDataPoint) {
	drawPoint(t, p)
	p.SetScale(rapid.Int32Range(-4, 20).Draw(t, "scale"))
	p.SetCount(rapid.Uint64().Draw(t, "count"))
	p.SetZeroCount(rapid.Uint64().Draw(t, "zero"))
	if rapid.Bool().Draw(t, "summed") {
		p.SetSum(drawDouble(t))
	}
	counts := rapid.OneOf(rapid.Just(uint64(0)), rapid.Uint64Range(0, 9))
	if p.Scale() > 8 {
		counts = rapid.Uint64Range(1, 9) // where it merges buckets, Prometheus puts some that follow empty ones into a wrong place
	}
	for _, side := range []pmetric.ExponentialHistogramDataPointBuckets{p.Positive(), p.Negative()} {
		side.SetOffset(rapid.Int32Range(-3000, 3000).Draw(t, "offset"))
		side.BucketCounts().FromRaw(rapid.SliceOfN(counts, 0, 30).Draw(t, "counts"))
	}
	drawExemplars(t, p.Exemplars())
}

// otlpRecorder is an appender and a sink: either way the same lines are made of the same samples.
type otlpRecorder struct {
	storage.AppenderV2 // for what is not called
	t                  *rapid.T
	parser             *exposition.SeriesParser
	lines              []string
	kinds              map[string]bool // families with their types
}

func (r *otlpRecorder) all() []string {
	for typed := range r.kinds {
		r.lines = append(r.lines, "TYPE "+typed)
	}
	r.kinds = nil
	slices.Sort(r.lines)
	return r.lines
}

// say writes a sample down.
func (r *otlpRecorder) say(series []byte, ms int64, value string) {
	s, err := r.parser.Parse(series)
	require.NoError(r.t, err, "%s", series)
	r.lines = append(r.lines, fmt.Sprintf("%s @%d %s", s.Text, ms, value))
}

// more adds to the last sample.
func (r *otlpRecorder) more(format string, args ...any) {
	r.lines[len(r.lines)-1] += fmt.Sprintf(format, args...)
}

func (r *otlpRecorder) kind(family, kind string) {
	if r.kinds == nil {
		r.kinds = map[string]bool{}
	}
	r.kinds[family+" "+kind] = true
}

func bits(v float64) string {
	if math.IsNaN(v) {
		return strconv.FormatUint(math.Float64bits(v), 16)
	}
	return fmt.Sprint(v)
}

func nativeText(h *histogram.Histogram) string {
	h.Compact(0)
	return fmt.Sprintf("%d %x %s %d %d %v %v %v %v", h.Schema, h.ZeroThreshold, bits(h.Sum), h.Count, h.ZeroCount, h.PositiveSpans, h.PositiveBuckets, h.NegativeSpans, h.NegativeBuckets)
}

func (r *otlpRecorder) Append(_ storage.SeriesRef, ls labels.Labels, start, ms int64, v float64, h *histogram.Histogram, _ *histogram.FloatHistogram, opts storage.AppendV2Options) (storage.SeriesRef, error) {
	var all []decode.Label
	ls.Range(func(l labels.Label) {
		if l.Name != model.MetricNameLabel {
			all = append(all, decode.Label{Name: []byte(l.Name), Value: []byte(l.Value)})
		}
	})
	name := ls.Get(model.MetricNameLabel)
	value := bits(v)
	if h != nil {
		value = nativeText(h)
	}
	r.say(decode.AppendSeries(nil, []byte(name), all), ms, value)
	kind := string(opts.Metadata.Type)
	counts := kind == "counter" || h != nil || (kind == "histogram" || kind == "summary") && name == opts.MetricFamilyName+"_count"
	if counts && start != 0 {
		r.more(" since %d", start)
	}
	if kind == "gauge" { // which has no place for exemplars
		opts.Exemplars = nil
	}
	for _, e := range opts.Exemplars {
		at := int64(0)
		if e.HasTs {
			at = e.Ts
		}
		var pairs []string
		e.Labels.Range(func(l labels.Label) { pairs = append(pairs, l.Name+"="+l.Value) })
		r.more(" # %v %v @%d", pairs, e.Value, at)
	}
	r.kind(opts.MetricFamilyName, kind)
	return 0, nil
}

func (r *otlpRecorder) Sample(series []byte, ms int64, v float64) error {
	r.say(series, ms, bits(v))
	return nil
}

func (r *otlpRecorder) Histogram(series []byte, ms int64, message []byte) error {
	m := &dto.Histogram{}
	require.NoError(r.t, proto.Unmarshal(message, m))
	spans := func(all []*dto.BucketSpan) (some []histogram.Span) {
		for _, s := range all {
			some = append(some, histogram.Span{Offset: s.GetOffset(), Length: s.GetLength()})
		}
		return some
	}
	r.say(series, ms, nativeText(&histogram.Histogram{
		Schema: m.GetSchema(), ZeroThreshold: m.GetZeroThreshold(), Sum: m.GetSampleSum(), Count: m.GetSampleCount(), ZeroCount: m.GetZeroCount(),
		PositiveSpans: spans(m.GetPositiveSpan()), PositiveBuckets: m.GetPositiveDelta(),
		NegativeSpans: spans(m.GetNegativeSpan()), NegativeBuckets: m.GetNegativeDelta(),
	}))
	return nil
}

func (r *otlpRecorder) Exemplar(message []byte) error {
	e := &dto.Exemplar{}
	require.NoError(r.t, proto.Unmarshal(message, e))
	var pairs []string
	for _, l := range e.GetLabel() {
		pairs = append(pairs, l.GetName()+"="+l.GetValue())
	}
	at := int64(0)
	if e.GetTimestamp() != nil {
		at = e.GetTimestamp().AsTime().UnixMilli()
	}
	r.more(" # %v %v @%d", pairs, e.GetValue(), at)
	return nil
}

func (r *otlpRecorder) Start(ms int64) error {
	r.more(" since %d", ms)
	return nil
}

func (r *otlpRecorder) Type(family, kind []byte) error {
	r.kind(string(family), string(kind))
	return nil
}

func (r *otlpRecorder) Help([]byte, []byte) error { return nil }
