package native

import (
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func whole() *dto.Histogram {
	return &dto.Histogram{
		SampleCount: proto.Uint64(6), SampleSum: proto.Float64(18.4), Schema: proto.Int32(-1),
		ZeroThreshold: proto.Float64(0.001), ZeroCount: proto.Uint64(1),
		PositiveSpan:  []*dto.BucketSpan{{Offset: proto.Int32(-2), Length: proto.Uint32(1)}, {Offset: proto.Int32(3), Length: proto.Uint32(1)}},
		PositiveDelta: []int64{1, 1},
		NegativeSpan:  []*dto.BucketSpan{{Offset: proto.Int32(0), Length: proto.Uint32(2)}},
		NegativeDelta: []int64{1, 0},
	}
}

func parts() *dto.Histogram {
	return &dto.Histogram{
		SampleCountFloat: proto.Float64(3.5), SampleSum: proto.Float64(1), Schema: proto.Int32(8), ZeroCountFloat: proto.Float64(0.5),
		PositiveSpan:  []*dto.BucketSpan{{Offset: proto.Int32(1), Length: proto.Uint32(2)}},
		PositiveCount: []float64{1.5, 1.5},
	}
}

func read(t *testing.T, d *dto.Histogram) (h Histogram, err error) {
	t.Helper()
	message, merr := proto.Marshal(d)
	require.NoError(t, merr)
	err = h.Read(message)
	return h, err
}

func TestRead(t *testing.T) {
	h, err := read(t, whole())
	require.NoError(t, err)
	assert.Equal(t, Histogram{
		Schema: -1, ZeroThreshold: 0.001, Count: 6, ZeroCount: 1, Sum: 18.4,
		Positive: Side{Spans: []Span{{-2, 1}, {3, 1}}, Deltas: []int64{1, 1}},
		Negative: Side{Spans: []Span{{0, 2}}, Deltas: []int64{1, 0}},
	}, h)
	assert.Empty(t, h.Fault())
	assert.True(t, h.Shown())
	assert.Equal(t, 4, h.Buckets())

	message, err := proto.Marshal(parts())
	require.NoError(t, err)
	require.NoError(t, h.Read(message)) // nothing is left of the one before
	assert.Equal(t, Histogram{
		Schema: 8, CountPart: 3.5, ZeroPart: 0.5, Sum: 1,
		Positive: Side{Spans: []Span{{1, 2}}, Deltas: []int64{}, Counts: []float64{1.5, 1.5}},
		Negative: Side{Spans: []Span{}, Deltas: []int64{}},
	}, h)
	assert.Empty(t, h.Fault())
}

// Deltas and counts may be one by one or packed; io.prometheus.client writes them one by one.
func TestReadPacked(t *testing.T) {
	var h Histogram
	require.NoError(t, h.Read([]byte{1 << 3, 3, 12<<3 | 2, 2, 2 << 3, 2, 13<<3 | 2, 2, 2, 2}))
	assert.Equal(t, []int64{1, 1}, h.Positive.Deltas)
	assert.Empty(t, h.Fault())
}

func TestWhatMakesNoNativeHistogram(t *testing.T) {
	for name, d := range map[string]func(*dto.Histogram){
		"classic":  func(h *dto.Histogram) { h.Bucket = []*dto.Bucket{{UpperBound: proto.Float64(1)}} },
		"exemplar": func(h *dto.Histogram) { h.Exemplars = []*dto.Exemplar{{Value: proto.Float64(1)}} },
		"start":    func(h *dto.Histogram) { h.CreatedTimestamp = timestamppb.Now() },
	} {
		h := whole()
		d(h)
		_, err := read(t, h)
		require.ErrorIs(t, err, errBeside, name)
	}
	var h Histogram
	for _, bad := range []string{"\xff", "\x08", "\x0a", "\x11\x00", "\x62\x01", "\x62\x02\x08", "\x62\x02\x18\x01", "\x6a\x01\xff", "\x72\x01\x00"} {
		require.Error(t, h.Read([]byte(bad)), "%q", bad)
	}
}

func TestFaults(t *testing.T) {
	for want, change := range map[string]func(*dto.Histogram){
		"has a schema that is none":               func(h *dto.Histogram) { h.Schema = proto.Int32(9) },
		"has spans that do not fit its buckets":   func(h *dto.Histogram) { h.PositiveSpan[0].Length = proto.Uint32(2) },
		"has a zero bucket of a width below 0":    func(h *dto.Histogram) { h.ZeroThreshold = proto.Float64(-1) },
		"has counts that do not add up":           func(h *dto.Histogram) { h.SampleCount = proto.Uint64(7) },
		"has spans that do not fit its buckets ":  func(h *dto.Histogram) { h.PositiveSpan[1].Offset = proto.Int32(-1) },
		"has spans that do not fit its buckets  ": func(h *dto.Histogram) { h.PositiveSpan[1].Offset = proto.Int32(math.MaxInt32) },
		"has counts that do not add up ":          func(h *dto.Histogram) { h.PositiveDelta = []int64{-1, 3} },
		"has counts that do not add up  ":         func(h *dto.Histogram) { h.PositiveDelta = []int64{math.MaxInt64, math.MaxInt64} },
		"has counts that do not add up   ":        func(h *dto.Histogram) { h.SampleCount = proto.Uint64(math.MaxUint64) },
		"has counts that are none":                func(h *dto.Histogram) { h.SampleCountFloat = proto.Float64(6) },
	} {
		d := whole()
		change(d)
		h, err := read(t, d)
		require.NoError(t, err, want)
		assert.Equal(t, strings.TrimSpace(want), h.Fault())
	}
	for _, bad := range []float64{-1, math.NaN(), math.Inf(1)} {
		d := parts()
		d.PositiveCount[1] = bad
		h, err := read(t, d)
		require.NoError(t, err)
		assert.Equal(t, "has counts that are none", h.Fault())
	}
	// Observations that are no numbers are in no bucket.
	d := whole()
	d.SampleCount, d.SampleSum = proto.Uint64(9), proto.Float64(math.NaN())
	h, err := read(t, d)
	require.NoError(t, err)
	assert.Empty(t, h.Fault())
}

func TestEmptyOnesAreShownByASpan(t *testing.T) {
	h, err := read(t, &dto.Histogram{Schema: proto.Int32(3), SampleCount: proto.Uint64(0)})
	require.NoError(t, err)
	assert.Empty(t, h.Fault())
	assert.False(t, h.Shown())
	require.NoError(t, h.Read(NoSpan))
	assert.True(t, h.Shown())
	assert.Empty(t, h.Fault())
}

func TestIsExemplar(t *testing.T) {
	spell := func(e *dto.Exemplar) []byte {
		b, err := proto.Marshal(e)
		require.NoError(t, err)
		return b
	}
	label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	good := &dto.Exemplar{Label: []*dto.LabelPair{label("trace_id", "é")}, Value: proto.Float64(1), Timestamp: timestamppb.New(time.Unix(1, 5))}
	assert.True(t, IsExemplar(spell(good)))
	assert.True(t, IsExemplar(nil))
	good.Label = append(good.Label, label("n", strings.Repeat("é", maxExemplarRunes-10)))
	assert.True(t, IsExemplar(spell(good)))
	good.Label[1] = label("n", strings.Repeat("é", maxExemplarRunes-9))
	assert.False(t, IsExemplar(spell(good)))
	for _, bad := range []string{"\xff", "\x08\x01", "\x0a\x03\x0a\x01\xff", "\x0a\x05\x0a\x01a", "\x11\x00", "\x1a\x01\xff", "\x0a\x02\x08\x01", "\x1a\x02\x0a\x00"} {
		assert.False(t, IsExemplar([]byte(bad)), "%q", bad)
	}
}

// Whatever is read is what the library of the format reads.
func FuzzRead(f *testing.F) {
	for _, d := range []*dto.Histogram{whole(), parts(), {}} {
		message, err := proto.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(message)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var h Histogram
		IsExemplar(message)
		if h.Read(message) != nil {
			return
		}
		var d dto.Histogram
		require.NoError(t, proto.Unmarshal(message, &d))
		assert.Equal(t, d.GetSampleCount(), h.Count)
		assert.Equal(t, d.GetZeroCount(), h.ZeroCount)
		assert.Equal(t, d.GetSchema(), h.Schema)
		assert.Equal(t, math.Float64bits(d.GetSampleSum()), math.Float64bits(h.Sum))
		assert.Equal(t, math.Float64bits(d.GetSampleCountFloat()), math.Float64bits(h.CountPart))
		assert.Equal(t, math.Float64bits(d.GetZeroCountFloat()), math.Float64bits(h.ZeroPart))
		assert.ElementsMatch(t, d.PositiveDelta, h.Positive.Deltas)
		assert.ElementsMatch(t, d.NegativeDelta, h.Negative.Deltas)
		require.Len(t, h.Positive.Counts, len(d.PositiveCount))
		require.Len(t, h.Negative.Counts, len(d.NegativeCount))
		require.Len(t, h.Positive.Spans, len(d.PositiveSpan))
		require.Len(t, h.Negative.Spans, len(d.NegativeSpan))
		for i, s := range d.PositiveSpan {
			assert.Equal(t, Span{s.GetOffset(), s.GetLength()}, h.Positive.Spans[i])
		}
	})
}
