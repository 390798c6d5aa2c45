package compare

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode/remotewrite"
	"github.com/hubring/hubring/internal/exposition"
)

// written is what a request has, a line each.
type written struct {
	t         testing.TB
	parser    *exposition.SeriesParser
	lines     []string
	exemplars int
	said      map[string]bool
	refusals  int
}

func newWritten(t testing.TB) *written {
	return &written{t: t, parser: exposition.NewSeriesParser(exposition.Limits{}), said: map[string]bool{}}
}

var errSeries = errors.New("no series")

// canonical is the text of a series as a hub keeps it, which a Prometheus then reads.
func (w *written) canonical(series []byte) (string, error) {
	s, err := w.parser.Parse(series)
	if err != nil {
		return "", errSeries
	}
	p := textparse.NewPromParser(append(slices.Clone(s.Text), " 1"...), labels.NewSymbolTable(), false)
	entry, err := p.Next()
	require.NoError(w.t, err, "%q", s.Text)
	require.Equal(w.t, textparse.EntrySeries, entry)
	var l labels.Labels
	p.Labels(&l)
	return l.String(), nil
}

func sampleLine(series string, ms int64, value float64) string {
	return fmt.Sprintf("%s %x @%d", series, math.Float64bits(value), ms)
}

func (w *written) Sample(series []byte, ms int64, value float64) error {
	text, err := w.canonical(series)
	if err == nil {
		w.lines = append(w.lines, sampleLine(text, ms, value))
	}
	return err
}

// Histogram reads a message as a Prometheus that scrapes it.
func (w *written) Histogram(series []byte, ms int64, message []byte) error {
	text, err := w.canonical(series)
	if err != nil {
		return err
	}
	metric := binary.AppendUvarint([]byte{7<<3 | 2}, uint64(len(message)))
	metric = append(metric, message...)
	family := append([]byte{1<<3 | 2, 1, 'x', 3 << 3, 4, 4<<3 | 2}, binary.AppendUvarint(nil, uint64(len(metric)))...)
	family = append(family, metric...)
	p := textparse.NewProtobufParser(append(binary.AppendUvarint(nil, uint64(len(family))), family...), false, false, false, false, labels.NewSymbolTable())
	for {
		entry, err := p.Next()
		if err != nil { // buckets that do not add up
			return err
		}
		if entry == textparse.EntryHistogram {
			break
		}
	}
	_, _, h, fh := p.Histogram()
	w.lines = append(w.lines, histogramLine(text, ms, h, fh))
	return nil
}

func histogramLine(series string, ms int64, h *histogram.Histogram, fh *histogram.FloatHistogram) string {
	var sum float64
	if h != nil {
		h.CounterResetHint, sum = histogram.UnknownCounterReset, h.Sum
	} else {
		fh.CounterResetHint, sum = histogram.UnknownCounterReset, fh.Sum
	}
	return fmt.Sprintf("%s %+v %+v %x @%d", series, h, fh, math.Float64bits(sum), ms)
}

func (w *written) Exemplar([]byte) error { w.exemplars++; return nil }
func (w *written) Start(int64) error     { return nil }

func (w *written) Type(family, kind []byte) error {
	w.said[fmt.Sprintf("TYPE %q %s", family, kind)] = true
	return nil
}

func (w *written) Help(family, text []byte) error {
	w.said[fmt.Sprintf("HELP %q %q", family, text)] = true
	return nil
}

// series is the series of labels, empty ones aside, or says that it is none. With a NUL byte it is one to Prometheus, and to no hub.
func series(l labels.Labels) (string, bool) {
	b := labels.NewScratchBuilder(0)
	names := map[string]bool{}
	valid := true
	l.Range(func(l labels.Label) {
		if l.Value == "" {
			return
		}
		valid = valid && l.Name != "" && !names[l.Name] && utf8.ValidString(l.Name) && utf8.ValidString(l.Value) &&
			!strings.Contains(l.Name+l.Value, "\x00") // which no text can say
		names[l.Name] = true
		b.Add(l.Name, l.Value)
	})
	b.Sort()
	return b.Labels().String(), valid && names["__name__"]
}

// fuzzed decodes a message, and returns what was brought.
func fuzzed(t testing.TB, version remotewrite.Version, body []byte) (*written, remotewrite.Written, error) {
	w := newWritten(t)
	d := remotewrite.Decoder{
		SeriesBytes: 1 << 30, TextBytes: 1 << 30, Room: func(int) error { return nil },
		Refuse: func(samples int, _ error) error { w.refusals += samples; return nil },
	}
	got, err := d.Decode(version, body, w)
	return w, got, err
}

var types = [...]string{"", "counter", "gauge", "histogram", "untyped", "summary", "gauge", "gauge"}

// writes are requests of both versions.
func writes(t testing.TB) (seeds [][]byte) {
	label := func(l ...string) (all []prompb.Label) {
		for i := 0; i < len(l); i += 2 {
			all = append(all, prompb.Label{Name: l[i], Value: l[i+1]})
		}
		return all
	}
	h := &histogram.Histogram{
		Count: 11, Sum: 18.4, Schema: 1, ZeroThreshold: 0.001, ZeroCount: 2, PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}, {Offset: 1, Length: 2}},
		PositiveBuckets: []int64{1, 1, -1, 0}, NegativeSpans: []histogram.Span{{Offset: -1, Length: 2}}, NegativeBuckets: []int64{1, 2},
	}
	requests := []prompb.WriteRequest{
		{Timeseries: []prompb.TimeSeries{
			{Labels: label("__name__", "x", "a", "1", "b", "\"\\\n"), Samples: []prompb.Sample{{Value: 1.5, Timestamp: 1000}, {}}},
			{Labels: label("b", "", "__name__", "x.y", "ä", "ö"), Samples: []prompb.Sample{{Value: math.Float64frombits(0x7ff0000000000002), Timestamp: -5}}, Exemplars: []prompb.Exemplar{{Labels: label("id", "1"), Value: 1, Timestamp: 7}}},
			{Labels: label("__name__", "h"), Histograms: []prompb.Histogram{prompb.FromIntHistogram(9, h), prompb.FromFloatHistogram(10, h.ToFloat(nil)), prompb.FromIntHistogram(11, &histogram.Histogram{Sum: 1})}},
			{Labels: label("a", "1"), Samples: []prompb.Sample{{}}},
			{Labels: label("__name__", "x", "a", "\x00"), Samples: []prompb.Sample{{}}},
			{Labels: label("__name__", "x", "a", "1", "a", "2"), Samples: []prompb.Sample{{}}},
		}},
		{Timeseries: []prompb.TimeSeries{{Labels: label("__name__", "h"), Histograms: []prompb.Histogram{
			prompb.FromIntHistogram(9, &histogram.Histogram{Count: 1, PositiveSpans: []histogram.Span{{Length: 3}}, PositiveBuckets: []int64{1}}),
			prompb.FromIntHistogram(10, &histogram.Histogram{Count: 2, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}}),
			prompb.FromFloatHistogram(11, &histogram.FloatHistogram{Count: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []float64{-1}}),
		}}}},
		{Metadata: []prompb.MetricMetadata{{Type: 1, MetricFamilyName: "x", Help: "h\n"}, {Type: 7, MetricFamilyName: "y"}}},
	}
	for i := range requests {
		body, err := requests[i].Marshal()
		require.NoError(t, err)
		seeds = append(seeds, body)
	}
	two, err := (&writev2.Request{Symbols: []string{"", "__name__", "x", "a", "\"", "help"}, Timeseries: []writev2.TimeSeries{
		{LabelsRefs: []uint32{1, 2, 3, 4}, Samples: []writev2.Sample{{Value: 1, Timestamp: 2, StartTimestamp: 1}}, Metadata: writev2.Metadata{Type: 1, HelpRef: 5}},
		{LabelsRefs: []uint32{3, 4, 1, 2, 3, 0}, Histograms: []writev2.Histogram{writev2.FromIntHistogram(9, 0, h)}, Exemplars: []writev2.Exemplar{{LabelsRefs: []uint32{3, 4}}}},
		{LabelsRefs: []uint32{1, 77}, Samples: []writev2.Sample{{}}},
	}}).Marshal()
	require.NoError(t, err)
	return append(seeds, two)
}

// What Prometheus' own code reads of a request is what is brought: samples, histograms as it would scrape them, and metadata. Whatever else the bytes
// are, nothing breaks.
func FuzzRemoteWrite(f *testing.F) {
	for _, seed := range writes(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, _ = fuzzed(t, remotewrite.V1, body)
		_, _, _ = fuzzed(t, remotewrite.V2, body)
		var one prompb.WriteRequest
		if one.Unmarshal(body) == nil {
			discard(reflect.ValueOf(&one).Elem())
			compare1(t, &one)
		}
		var two writev2.Request
		if two.Unmarshal(body) == nil {
			discard(reflect.ValueOf(&two).Elem())
			compare2(t, &two)
		}
	})
}

// Whatever is pushed by remote write, Prometheus reads each scrape and stores its histograms.
func FuzzScrapeOfRemoteWrite(f *testing.F) {
	for _, seed := range writes(f) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		for _, sent := range []string{"application/x-protobuf", "application/x-protobuf;proto=io.prometheus.write.v2.Request"} {
			hub := pushed(t)
			r := httptest.NewRequest(http.MethodPost, "/api/v1/write", bytes.NewReader(message))
			r.Header.Set("Content-Type", sent)
			hub.ServeHTTP(httptest.NewRecorder(), r) // refused is fine
			for _, accept := range []string{likesText, likesProtobuf, openMetrics[0].likes, openMetrics[1].likes} {
				contentType, body := answered(t, hub, accept)
				_, err := untimed(contentType, body, textparse.ParserOptions{EnableOpenMetrics2: true})
				require.NoError(t, err, "%q", body)
			}
		}
	})
}

// discard drops the fields that are not known of a message and those below: groups, and fields of the other version, are mistakes.
func discard(v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Struct {
			for i := range v.Len() {
				discard(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Name == "XXX_unrecognized" {
				v.Field(i).SetBytes(nil)
			} else {
				discard(v.Field(i))
			}
		}
	default: // has no fields
	}
}

// expected adds what a series has to what is expected.
func (w *written) expected(l labels.Labels, n int, sample func(i int) (int64, float64)) {
	text, valid := series(l)
	for i := range n {
		if ms, value := sample(i); valid && ms != math.MinInt64 {
			w.lines = append(w.lines, sampleLine(text, ms, value))
		}
	}
}

// ofHistogram adds a histogram, and says whether it can be compared: one that does not add up may be anything.
func (w *written) ofHistogram(l labels.Labels, ms int64, gauge bool, h *histogram.Histogram, fh *histogram.FloatHistogram) bool {
	text, valid := series(l)
	if h != nil {
		if h.Schema < -4 || h.Schema > 8 || !valid || ms == math.MinInt64 || gauge {
			return true
		}
		if h.Validate() != nil {
			return false
		}
		h.Compact(0)
	} else {
		if fh.Schema < -4 || fh.Schema > 8 || !valid || ms == math.MinInt64 || gauge {
			return true
		}
		if fh.Validate() != nil || fh.Count == 0 && fh.ZeroCount == 0 { // of which a scrape makes one of integers
			return false
		}
		fh.Compact(0)
	}
	w.lines = append(w.lines, histogramLine(text, ms, h, fh))
	return true
}

func compare1(t *testing.T, r *prompb.WriteRequest) {
	want, comparable := newWritten(t), true
	for _, m := range r.Metadata {
		want.say(m.MetricFamilyName, int(m.Type), m.Help)
	}
	for i := range r.Timeseries {
		s := &r.Timeseries[i]
		b := labels.NewScratchBuilder(0)
		l := s.ToLabels(&b, nil)
		want.expected(l, len(s.Samples), func(i int) (int64, float64) { return s.Samples[i].Timestamp, s.Samples[i].Value })
		for _, h := range s.Histograms {
			var ih *histogram.Histogram
			var fh *histogram.FloatHistogram
			if h.IsFloatHistogram() {
				fh = h.ToFloatHistogram()
			} else {
				ih = h.ToIntHistogram()
			}
			comparable = want.ofHistogram(l, h.Timestamp, h.ResetHint == prompb.Histogram_GAUGE, ih, fh) && comparable
		}
	}
	if comparable {
		body, err := r.Marshal()
		require.NoError(t, err)
		want.same(t, remotewrite.V1, body)
	}
}

func compare2(t *testing.T, r *writev2.Request) {
	want, comparable := newWritten(t), true
	for i := range r.Timeseries {
		s := &r.Timeseries[i]
		b := labels.NewScratchBuilder(0)
		l, err := s.ToLabels(&b, r.Symbols)
		if err != nil {
			continue
		}
		want.expected(l, len(s.Samples), func(i int) (int64, float64) { return s.Samples[i].Timestamp, s.Samples[i].Value })
		for _, h := range s.Histograms {
			var ih *histogram.Histogram
			var fh *histogram.FloatHistogram
			if h.IsFloatHistogram() {
				fh = h.ToFloatHistogram()
			} else {
				ih = h.ToIntHistogram()
			}
			comparable = want.ofHistogram(l, h.Timestamp, h.ResetHint == writev2.Histogram_RESET_HINT_GAUGE, ih, fh) && comparable
		}
	}
	if comparable {
		body, err := r.Marshal()
		require.NoError(t, err)
		want.said = nil
		want.same(t, remotewrite.V2, body)
	}
}

func (w *written) say(family string, kind int, help string) {
	if family == "" {
		return
	}
	if kind > 0 && kind < len(types) {
		w.said[fmt.Sprintf("TYPE %q %s", family, types[kind])] = true
	}
	if help != "" {
		w.said[fmt.Sprintf("HELP %q %q", family, help)] = true
	}
}

// same decodes a message and requires what is expected of it.
func (w *written) same(t *testing.T, version remotewrite.Version, body []byte) {
	got, n, err := fuzzed(t, version, body)
	require.NoError(t, err)
	require.Equal(t, strings.Join(w.lines, "\n"), strings.Join(got.lines, "\n"))
	require.Len(t, w.lines, n.Samples+n.Histograms)
	if w.said != nil {
		require.Equal(t, w.said, got.said)
	}
}
