package intake

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/decode"
)

func spelled(t testing.TB, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

func nativeHistogram(t testing.TB, count uint64) []byte {
	return spelled(t, &dto.Histogram{
		SampleCount: &count, SampleSum: proto.Float64(1.5), Schema: proto.Int32(3),
		PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(-2), Length: proto.Uint32(1)}}, PositiveDelta: []int64{int64(count)},
	})
}

func exemplar(t testing.TB, id string) []byte {
	name := "trace_id"
	return spelled(t, &dto.Exemplar{Label: []*dto.LabelPair{{Name: &name, Value: &id}}, Value: proto.Float64(2), Timestamp: timestamppb.New(time.Unix(5, 0))})
}

// found is what the store has of a series: what its samples say, by time.
func (f *filled) found(text string) map[int64]words.Sample {
	f.t.Helper()
	v, rank := f.store.ReadWaiting()
	a := arrange.Arrange(v, rank, arrange.Everything)
	for _, id := range rank.Order {
		if rank.Text(id) != text {
			continue
		}
		all := map[int64]words.Sample{}
		for _, p := range a.Of(id) {
			var s words.Sample
			s.Read(p.Value, a.Words(id, p.Time))
			all[p.Time] = s
		}
		assert.Zero(f.t, a.Cut())
		return all
	}
	require.Fail(f.t, "no series", text)
	return nil
}

// Histograms, exemplars and start times are in the store with their samples, of new series, known ones, and those between.
func TestSinkTakesExtras(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	f.push("known{gatewayID=\"a\"} 0 1\n")
	f.drain()
	read := func(to decode.Sink) error {
		for g := range 3 {
			for _, name := range []string{"known", "number", "histogram"} {
				text := fmt.Appendf(nil, "%s{gatewayID=\"%c\"}", name, 'a'+g)
				ms := int64(1000 + g)
				if name == "histogram" {
					require.NoError(t, to.Histogram(text, ms, nativeHistogram(t, uint64(g+1))))
				} else {
					require.NoError(t, to.Sample(text, ms, float64(g)))
				}
				require.NoError(t, to.Start(ms-1))
				require.NoError(t, to.Exemplar(exemplar(t, name)))
				require.NoError(t, to.Exemplar(exemplar(t, "another of "+name)))
				text[0] = '?' // the decoder's own
			}
		}
		return to.Sample([]byte("last"), 1, 1)
	}
	for range 2 { // the second time all are known
		n, _, err := f.Take(f.began, read)
		require.NoError(t, err)
		assert.Equal(t, f.store.Log.Behind(), n)
		for g := range 3 {
			for _, name := range []string{"known", "number", "histogram"} {
				all := f.found(fmt.Sprintf("%s{gatewayID=\"%c\"}", name, 'a'+g))
				require.Len(t, all, 1)
				s := all[int64(1000+g)]
				assert.Equal(t, int64(999+g), s.Start)
				assert.Equal(t, [][]byte{exemplar(t, name), exemplar(t, "another of "+name)}, s.Exemplars)
				if name == "histogram" {
					assert.Equal(t, nativeHistogram(t, uint64(g+1)), s.Histogram)
				} else {
					assert.Nil(t, s.Histogram)
				}
			}
		}
		f.drain()
	}
	assert.Equal(t, Extras{Histograms: 6, Exemplars: 36, Starts: 18}, f.Received())
	assert.Zero(t, f.LeftOut())
}

// What a server would refuse a scrape for is refused, and what belongs to it is left out with it.
func TestSinkRefusesHistogramsThatAreNone(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	n, _, err := f.Take(f.began, func(to decode.Sink) error {
		require.NoError(t, to.Sample([]byte("good"), 1, 1))
		for want, message := range map[string][]byte{
			"add up":     spelled(t, &dto.Histogram{SampleCount: proto.Uint64(2), ZeroCount: proto.Uint64(1)}),
			"a schema":   spelled(t, &dto.Histogram{Schema: proto.Int32(-53)}),
			"no message": []byte("\xff"),
			"beside":     spelled(t, &dto.Histogram{Bucket: []*dto.Bucket{{}}}),
			"the limit":  make([]byte, maxHistogramBytes+1),
		} {
			err := to.Histogram([]byte("bad"), 1, message)
			var refused *RefusedError
			require.ErrorAs(t, err, &refused, want)
			assert.Equal(t, "native_histogram", refused.Reason)
			assert.ErrorContains(t, err, want)
			require.NoError(t, to.Exemplar(exemplar(t, "x")))
			require.NoError(t, to.Start(1))
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, Extras{Exemplars: 5, Starts: 5}, f.LeftOut())
	assert.Zero(t, f.Received())
}

// Exemplars and start times that are none are left out, and their samples are not.
func TestSinkLeavesOutWhatIsNone(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	_, _, err := f.Take(f.began, func(to decode.Sink) error {
		require.NoError(t, to.Sample([]byte("x"), 1, 1))
		for _, bad := range [][]byte{[]byte("\xff"), exemplar(t, strings.Repeat("x", 150)), make([]byte, maxExemplarBytes+1)} {
			require.NoError(t, to.Exemplar(bad))
		}
		for _, bad := range []int64{0, -1, words.MaxStart + 1} {
			require.NoError(t, to.Start(bad))
		}
		return nil
	})
	require.NoError(t, err)
	assert.Equal(t, map[int64]words.Sample{1: {Histogram: nil}}, f.found("x"))
	assert.Equal(t, Extras{Exemplars: 3, Starts: 3}, f.LeftOut())
}

// A histogram without observations says that it is one.
func TestEmptyHistogram(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	_, _, err := f.Take(f.began, func(to decode.Sink) error { return to.Histogram([]byte("x"), 1, nil) })
	require.NoError(t, err)
	var h dto.Histogram
	require.NoError(t, proto.Unmarshal(f.found("x")[1].Histogram, &h))
	assert.Len(t, h.PositiveSpan, 1)
}

// What a sample may have behind it is bounded, and words are samples to the limit of a push.
func TestExtrasHaveLimits(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	many := func(to decode.Sink) error {
		if err := to.Histogram([]byte("x"), 1, nativeHistogram(t, 1)); err != nil {
			return err
		}
		for range words.Most {
			if err := to.Start(1); err != nil {
				return err
			}
		}
		return nil
	}
	n, _, err := f.Take(f.began, many)
	require.NoError(t, err)
	assert.Equal(t, words.Most+1, n)
	assert.NotZero(t, f.LeftOut().Starts)
	f.drain()

	f.cfg.MaxSamples = 20
	var broken *decode.BrokenError
	_, _, err = f.Take(f.began, many)
	require.ErrorAs(t, err, &broken)
	assert.Zero(t, f.store.Log.Behind())
	assert.EqualValues(t, 1, f.Received().Histograms, "of what is refused nothing counts")
}

// A sender's value is never a word.
func TestValuesAreNoWords(t *testing.T) {
	f := newFilled(t, series.Limits{GatewaySeries: 1e6})
	_, _, err := f.Take(f.began, func(to decode.Sink) error {
		for i, bits := range []uint64{math.Float64bits(words.Start(5)), math.Float64bits(words.AppendHistogram(nil, nil)[0]), 0x7ff0000000000002} {
			require.NoError(t, to.Sample(fmt.Appendf(nil, "x%d", i), 1, math.Float64frombits(bits)))
		}
		return nil
	})
	require.NoError(t, err)
	v, rank := f.store.ReadWaiting()
	a := arrange.Arrange(v, rank, arrange.Everything)
	for i, want := range []uint64{0x7ff8000000000001, 0x7ff8000000000001, 0x7ff0000000000002} {
		points := a.Of(rank.Order[i])
		require.Len(t, points, 1)
		assert.Equal(t, want, math.Float64bits(points[0].Value))
	}
}
