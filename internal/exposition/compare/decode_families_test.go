package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/hubring/hubring/internal/decode/families"
)

// nativeOf is a histogram's message as Prometheus understands it.
func nativeOf(message []byte) (string, error) {
	metric := protowire.AppendBytes(protowire.AppendTag(nil, 7, protowire.BytesType), message)
	family := []byte{1<<3 | 2, 1, 'x', 3 << 3, byte(dto.MetricType_HISTOGRAM)}
	family = protowire.AppendBytes(protowire.AppendTag(family, 4, protowire.BytesType), metric)
	all, err := theirFamilies(append(protowire.AppendVarint(nil, uint64(len(family))), family...))
	if err != nil || len(all) != 1 {
		return "", fmt.Errorf("%d of one histogram: %w", len(all), err)
	}
	return all[0].native, nil
}

// theirFamilies reads a body as a Prometheus does that scrapes classic histograms, too.
func theirFamilies(body []byte) (all []brought, err error) {
	p := textparse.NewProtobufParser(slices.Clone(body), false, true, false, false, labels.NewSymbolTable())
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		var b brought
		var at *int64
		switch entry {
		case textparse.EntrySeries:
			var value float64
			_, at, value = p.Series()
			b.value = math.Float64bits(value)
		case textparse.EntryHistogram:
			_, t, whole, float := p.Histogram()
			if at = t; whole != nil {
				b.native = whole.String()
			} else {
				b.native = float.String()
			}
		default:
			continue
		}
		var l labels.Labels
		p.Labels(&l)
		b.labels = labels.NewBuilder(l).Labels().String()
		if b.timed = at != nil; b.timed {
			b.ms = *at
		}
		for e := (exemplar.Exemplar{}); p.Exemplar(&e); e = (exemplar.Exemplar{}) {
			b.exemplars = append(b.exemplars, exampleText(e))
		}
		b.start = p.StartTimestamp()
		all = append(all, b)
	}
}

// families of all types, as senders may have them.
func drawFamilies(t *rapid.T) (all []*dto.MetricFamily) {
	number := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{0, 1, math.Inf(1), math.NaN(), 1e6, 0.1}))
	word := rapid.SampledFrom([]string{"a", "b", "service.name", "é", "x_y"})
	start := func() *timestamppb.Timestamp {
		if rapid.Bool().Draw(t, "start") {
			return &timestamppb.Timestamp{Seconds: rapid.Int64Range(1, 2e9).Draw(t, "seconds"), Nanos: rapid.Int32Range(0, 999_999_999).Draw(t, "nanos")}
		}
		return nil
	}
	example := func() *dto.Exemplar {
		if !rapid.Bool().Draw(t, "exemplar") {
			return nil
		}
		v := number.Draw(t, "value")
		return &dto.Exemplar{Label: []*dto.LabelPair{{Name: new(word.Draw(t, "name")), Value: new(word.Draw(t, "value"))}}, Value: &v, Timestamp: start()}
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "families") {
		kind := dto.MetricType(rapid.IntRange(0, 5).Draw(t, "type"))
		f := &dto.MetricFamily{Name: new(fmt.Sprintf("%s_%d", word.Draw(t, "name"), i)), Help: new("What."), Type: &kind}
		for m := range rapid.IntRange(0, 3).Draw(t, "metrics") {
			metric := &dto.Metric{Label: []*dto.LabelPair{{Name: new("m"), Value: new(strconv.Itoa(m))}, {Name: new("other"), Value: new(rapid.SampledFrom([]string{"", "x", "\"\\\n"}).Draw(t, "label"))}}}
			if rapid.Bool().Draw(t, "timed") {
				metric.TimestampMs = new(rapid.Int64Min(-1<<62).Draw(t, "ms"))
			}
			value := number.Draw(t, "value")
			switch kind {
			case dto.MetricType_COUNTER:
				metric.Counter = &dto.Counter{Value: &value, Exemplar: example(), CreatedTimestamp: start()}
			case dto.MetricType_GAUGE:
				metric.Gauge = &dto.Gauge{Value: &value}
			case dto.MetricType_UNTYPED:
				metric.Untyped = &dto.Untyped{Value: &value}
			case dto.MetricType_SUMMARY:
				metric.Summary = &dto.Summary{SampleCount: new(rapid.Uint64().Draw(t, "count")), SampleSum: &value, CreatedTimestamp: start()}
				for _, q := range rapid.SliceOfNDistinct(rapid.Float64Range(0, 1), 0, 3, rapid.ID[float64]).Draw(t, "quantiles") {
					metric.Summary.Quantile = append(metric.Summary.Quantile, &dto.Quantile{Quantile: &q, Value: new(number.Draw(t, "value"))})
				}
			default:
				metric.Histogram = drawHistogram(t, number, example)
				metric.Histogram.CreatedTimestamp = start()
			}
			f.Metric = append(f.Metric, metric)
		}
		all = append(all, f)
	}
	return all
}

func drawHistogram(t *rapid.T, number *rapid.Generator[float64], example func() *dto.Exemplar) *dto.Histogram {
	h := &dto.Histogram{SampleCount: new(rapid.Uint64().Draw(t, "count")), SampleSum: new(number.Draw(t, "sum"))}
	bounds := rapid.SliceOfNDistinct(rapid.OneOf(rapid.Float64Range(-1e9, 1e9), rapid.SampledFrom([]float64{0, 1, 10, 1e6})), 0, 4, rapid.ID[float64]).Draw(t, "bounds")
	slices.Sort(bounds)
	if rapid.Bool().Draw(t, "all") {
		bounds = append(bounds, math.Inf(1))
	}
	for _, bound := range bounds {
		b := &dto.Bucket{UpperBound: &bound, Exemplar: example()}
		if rapid.Bool().Draw(t, "part") {
			b.CumulativeCountFloat = new(number.Draw(t, "count"))
		} else {
			b.CumulativeCount = new(rapid.Uint64().Draw(t, "count"))
		}
		h.Bucket = append(h.Bucket, b)
	}
	if rapid.Bool().Draw(t, "native") {
		h.Schema = new(int32(3))
		h.ZeroThreshold = new(rapid.SampledFrom([]float64{0, 0.5}).Draw(t, "threshold"))
		h.PositiveSpan = []*dto.BucketSpan{{Offset: new(int32(1)), Length: new(uint32(2))}}
		h.PositiveDelta = []int64{1, 2}
		if e := example(); e != nil {
			e.Timestamp = &timestamppb.Timestamp{Seconds: 5} // as it has to have one
			h.Exemplars = append(h.Exemplars, e)
		}
	}
	return h
}

// requireFamiliesRead checks that families are read as Prometheus reads them, but for the order of a histogram's series, and where it says what more than once:
// its start with each of its series, and the exemplars of its buckets with the native one.
func requireFamiliesRead(t require.TestingT, all []*dto.MetricFamily) {
	var body bytes.Buffer
	for _, f := range all {
		_, err := protodelim.MarshalTo(&body, f)
		require.NoError(t, err)
	}
	want, err := theirFamilies(body.Bytes())
	require.NoError(t, err)
	var got sink
	require.NoError(t, families.Read(body.Bytes(), &got))
	for i := range want {
		w := &want[i]
		isOf := func(suffix string) bool { return strings.Contains(w.labels, suffix+`"`) }
		if w.native == "" && (isOf("_bucket") || isOf("_sum") || strings.Contains(w.labels, "quantile=")) {
			w.start = 0
		}
	}
	for _, list := range [][]brought{want, got.all} {
		for i := range list {
			if list[i].native != "" {
				list[i].exemplars = nil
			}
		}
		slices.SortStableFunc(list, func(a, b brought) int { return strings.Compare(a.labels, b.labels) })
	}
	if len(want) > 0 || len(got.all) > 0 {
		require.Equal(t, want, got.all)
	}
}

func TestFamiliesAreReadAsByPrometheus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { requireFamiliesRead(t, drawFamilies(t)) })
}

// What Prometheus reads of a scrape by protobuf we read of a push.
func FuzzReadFamilies(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { requireFamiliesRead(t, drawFamilies(t)) }))
}
