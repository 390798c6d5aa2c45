package render

import (
	"bytes"
	"fmt"
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
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// sender brings what it says to a hub without doors.
type sender struct {
	*testing.T
	decode.Sink
}

func (w *world) take(say func(s *sender)) {
	w.t.Helper()
	_, _, err := w.Take(time.Now(), func(to decode.Sink) error {
		say(&sender{w.t.(*testing.T), to})
		return nil
	})
	require.NoError(w.t, err)
}

func (s *sender) typed(family, kind string) { require.NoError(s, s.Type([]byte(family), []byte(kind))) }

// number brings a number, and exemplars of it.
func (s *sender) number(series string, ms int64, v float64, exemplars ...string) {
	require.NoError(s, s.Sample([]byte(series), ms, v))
	s.exemplars(exemplars)
}

// native brings a histogram of so many observations in one bucket.
func (s *sender) native(series string, ms int64, count uint64, exemplars ...string) {
	message, err := proto.Marshal(&dto.Histogram{
		SampleCount: &count, SampleSum: proto.Float64(1.5), Schema: proto.Int32(3),
		PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(7), Length: proto.Uint32(1)}}, PositiveDelta: []int64{int64(count)},
	})
	require.NoError(s, err)
	require.NoError(s, s.Histogram([]byte(series), ms, message))
	s.exemplars(exemplars)
}

func (s *sender) exemplars(ids []string) {
	for _, id := range ids {
		message, err := proto.Marshal(&dto.Exemplar{
			Label: []*dto.LabelPair{{Name: proto.String("id"), Value: &id}}, Value: proto.Float64(1), Timestamp: timestamppb.New(time.Unix(1, 0)),
		})
		require.NoError(s, err)
		require.NoError(s, s.Exemplar(message))
	}
}

func (s *sender) start(ms int64) { require.NoError(s, s.Start(ms)) }

// classic brings the series of a histogram with two buckets, whose exemplars are called as their bounds.
func (s *sender) classic(name string, ms int64, count float64, start int64) {
	s.number(name+`_bucket{le="1"}`, ms, count-1, "one")
	s.number(name+`_bucket{le="+Inf"}`, ms, count, "inf")
	s.number(name+"_sum", ms, 1.5)
	s.number(name+"_count", ms, count)
	s.start(start)
}

// shownWhole writes a line for each message, with what is more than numbers.
func shownWhole(families []*dto.MetricFamily) (lines []string) {
	var text strings.Builder
	ids := func(all ...*dto.Exemplar) {
		for _, e := range all {
			if e != nil {
				text.WriteString(" !" + e.GetLabel()[0].GetValue())
			}
		}
	}
	since := func(t *timestamppb.Timestamp) {
		if t != nil {
			fmt.Fprintf(&text, " since %d", t.AsTime().UnixMilli())
		}
	}
	for _, f := range families {
		text.Reset()
		fmt.Fprintf(&text, "%s %s", strings.ToLower(f.GetType().String()), f.GetName())
		for _, m := range f.GetMetric() {
			text.WriteString("; ")
			for _, l := range m.GetLabel() {
				text.WriteString(l.GetName() + "=" + l.GetValue() + " ")
			}
			text.WriteString(shownValue(m))
			if h := m.Histogram; h != nil {
				if len(h.PositiveSpan) > 0 {
					fmt.Fprintf(&text, " native %d@%d", h.PositiveDelta, h.PositiveSpan[0].GetOffset())
				}
				for _, b := range h.Bucket {
					ids(b.Exemplar)
				}
				ids(h.Exemplars...)
				since(h.CreatedTimestamp)
			}
			ids(m.GetCounter().GetExemplar())
			since(m.GetCounter().GetCreatedTimestamp())
			since(m.GetSummary().GetCreatedTimestamp())
			fmt.Fprintf(&text, " @%d", m.GetTimestampMs())
		}
		lines = append(lines, text.String())
	}
	return lines
}

func requireWhole(t *testing.T, want []string, leftOut arrange.LeftOut, pushes ...func(s *sender)) {
	t.Helper()
	w := newWorld(t)
	for _, say := range pushes {
		w.take(say)
	}
	families := w.families(exposition.AllowUTF8, nil)
	assert.Equal(t, want, shownWhole(families))
	for _, f := range families {
		assert.NotContains(t, f.String(), ":nan")
	}
	a, out := w.arranged(), bytes.Buffer{}
	require.NoError(t, Proto(&out, a, exposition.AllowUTF8, nil))
	assert.Equal(t, leftOut, a.LeftOut)
}

func TestProtoOfCountersWithExtras(t *testing.T) {
	requireWhole(t, []string{
		"untyped c; 1 @5000",
		"counter a_total; g=1 2 !second since 4999 @5000; g=1 3 @6000; g=2 1 since 1 @5000",
		"gauge b; 1 @5000",
	}, arrange.LeftOut{Exemplars: 3, Starts: 2}, func(s *sender) {
		s.typed("a_total", "counter")
		s.typed("b", "gauge")
		s.number(`a_total{g="1"}`, 5000, 2, "first", "second")
		s.start(4999)
		s.number(`a_total{g="1"}`, 6000, 3)
		s.number(`a_total{g="2"}`, 5000, 1)
		s.start(1)
		s.number(`b`, 5000, 1, "x")
		s.start(1)
		s.number(`c`, 5000, 1, "x")
		s.start(1)
	})
}

// Those with exemplars are the last of their messages.
func TestProtoOfNativeHistograms(t *testing.T) {
	requireWhole(t, []string{
		"histogram n; g=1 1.5/4 native [4]@7 @5000; g=1 1.5/5 native [5]@7 !a !b since 5001 @6000",
		"histogram n; g=1 1.5/6 native [6]@7 !c @7000",
		"histogram n; g=2 1.5/1 native [1]@7 @5000",
	}, arrange.LeftOut{}, func(s *sender) {
		s.typed("n", "histogram")
		s.native(`n{g="1"}`, 6000, 5, "a", "b")
		s.start(5001)
		s.native(`n{g="1"}`, 5000, 4)
		s.native(`n{g="1"}`, 7000, 6, "c")
		s.native(`n{g="2"}`, 5000, 1)
	})
}

// Whatever its family is said to be, a native histogram is one, and numbers of the same family are numbers.
func TestProtoOfNativeHistogramsOfAnyFamily(t *testing.T) {
	say := func(kind string) func(s *sender) {
		return func(s *sender) {
			if kind != "" {
				s.typed("n", kind)
			}
			s.number(`n{g="1"}`, 5000, 4)
			s.native(`n{g="1"}`, 6000, 5)
			s.number(`n{g="1"}`, 7000, 6)
			s.native(`n{g="2"}`, 5000, 1)
		}
	}
	want := func(number, native string) []string {
		return []string{
			number + " n; g=1 4 @5000", native + " n; g=1 1.5/5 native [5]@7 @6000", number + " n; g=1 6 @7000", native + " n; g=2 1.5/1 native [1]@7 @5000",
		}
	}
	requireWhole(t, want("untyped", "histogram"), arrange.LeftOut{}, say(""))
	requireWhole(t, want("gauge", "gauge_histogram"), arrange.LeftOut{}, say("gauge"))
	requireWhole(t, want("counter", "histogram"), arrange.LeftOut{}, say("counter"))
	mixed := want("untyped", "histogram")
	requireWhole(t, []string{mixed[3], mixed[0], mixed[1], mixed[2]}, arrange.LeftOut{}, say("histogram"))
	requireWhole(t, mixed, arrange.LeftOut{}, say("summary"))
}

// What a sender had in one metric is in one again: a server that takes native histograms takes nothing else of it.
func TestProtoOfBothHistograms(t *testing.T) {
	both := "histogram n; 1:3 +Inf:4 1.5/4 native [4]@7 !one !inf !own since 7 @5000"
	say := func(order ...int) func(s *sender) {
		return func(s *sender) {
			s.typed("n", "histogram")
			for _, part := range order {
				if part == 0 {
					s.native("n", 5000, 4, "own")
				} else {
					s.classic("n", 5000, 4, 7)
				}
			}
		}
	}
	requireWhole(t, []string{both}, arrange.LeftOut{}, say(0, 1))
	requireWhole(t, []string{both}, arrange.LeftOut{}, say(1, 0))
	requireWhole(t, []string{
		both,
		"histogram n; 1:4 +Inf:5 1.5/5 !one !inf since 9 @6000",
		"histogram n; 1.5/6 native [6]@7 @7000; 1:6 +Inf:7 1.5/7 native [7]@7 !one !inf since 8 @8000",
		"histogram n; 1.5/8 native [8]@7 @9000",
	}, arrange.LeftOut{}, say(1, 0), func(s *sender) {
		s.classic("n", 6000, 5, 9)
		s.native("n", 7000, 6)
		s.classic("n", 8000, 7, 8)
		s.native("n", 8000, 7)
		s.native("n", 9000, 8)
	})
}

// Where something of the classic one is missing the native one comes alone.
func TestProtoOfNativeBesideWhatIsNoHistogram(t *testing.T) {
	requireWhole(t, []string{
		"untyped n_bucket; le=+Inf 4 @5000", "untyped n_sum; 1.5 @5000", "histogram n; 1.5/4 native [4]@7 @5000",
	}, arrange.LeftOut{Exemplars: 1}, func(s *sender) {
		s.typed("n", "histogram")
		s.number(`n_bucket{le="+Inf"}`, 5000, 4, "lost")
		s.number(`n_sum`, 5000, 1.5)
		s.native("n", 5000, 4)
	})
}

func TestProtoOfSummariesWithExtras(t *testing.T) {
	requireWhole(t, []string{"summary s; 0.5:1 3/2 since 4 @5000"}, arrange.LeftOut{Exemplars: 1}, func(s *sender) {
		s.typed("s", "summary")
		s.number(`s{quantile="0.5"}`, 5000, 1, "no place")
		s.number(`s_sum`, 5000, 3)
		s.number(`s_count`, 5000, 2)
		s.start(4)
	})
}

// An end of a native histogram is one.
func TestProtoOfMarkersOfNativeHistograms(t *testing.T) {
	w := newWorld(t)
	w.take(func(s *sender) {
		s.typed("n", "histogram")
		s.native("n", 5000, 4)
	})
	w.mark(5001, "n")
	assert.Equal(t, []string{"histogram n; 1.5/4 native [4]@7 @5000", "untyped n; end @5001"}, shownWhole(w.families(exposition.AllowUTF8, nil)))
}

// What was cut is left out and counted, in either format.
func TestCutWordsAreLeftOut(t *testing.T) {
	w := newWorld(t)
	w.push("n 0 1\nx 0 1\n")
	table := w.store.Table()
	var b store.Batch
	histogram := words.AppendHistogram(nil, []byte("a histogram"))
	for text, values := range map[string][]float64{"n": histogram[:1], "x": append([]float64{7}, words.AppendExemplar(nil, []byte("an exemplar"))[:2]...)} {
		sp := table.Index.At(table.Index.Find(series.Text, table.Index.Hash(series.Text, []byte(text)), []byte(text)))
		b.AddRun(sp.Gateway(), len(values)+1)
		b.Add(sp.ID, 4000, histogram[1])
		for _, v := range values {
			b.Add(sp.ID, 5000, v)
		}
	}
	_, err := w.store.Commit(table, &b, time.Now())
	require.NoError(t, err)
	for _, write := range []func(*bytes.Buffer, *arrange.Arrangement) error{
		func(out *bytes.Buffer, a *arrange.Arrangement) error { return Proto(out, a, exposition.AllowUTF8, nil) },
		func(out *bytes.Buffer, a *arrange.Arrangement) error { return Text(out, a, exposition.AllowUTF8, nil) },
	} {
		var out bytes.Buffer
		a := w.arranged()
		require.NoError(t, write(&out, a))
		assert.Equal(t, arrange.LeftOut{Cut: 2}, a.LeftOut)
		assert.Equal(t, 2, a.Cut())
		assert.NotContains(t, out.String(), "NaN")
	}
	assert.Equal(t, []string{"untyped n; 0 @1", "untyped x; 0 @1; 7 @5000"}, shownWhole(w.families(exposition.AllowUTF8, nil)))
}

// Letters have no place for it.
func TestTextLeavesOutWhatIsMoreThanNumbers(t *testing.T) {
	w := newWorld(t)
	w.take(func(s *sender) {
		s.typed("a_total", "counter")
		s.typed("n", "histogram")
		s.typed("only", "histogram")
		s.number("a_total", 5000, 1, "x", "y")
		s.start(1)
		s.native("n", 5000, 4, "z")
		s.classic("n", 5000, 4, 7)
		s.native("only", 5000, 4)
	})
	a, out := w.arranged(), bytes.Buffer{}
	require.NoError(t, Text(&out, a, exposition.AllowUTF8, nil))
	assert.Equal(t, `# TYPE a_total counter
a_total 1 5000
# TYPE n histogram
n_bucket{le="1"} 3 5000
n_bucket{le="+Inf"} 4 5000
n_sum 1.5 5000
n_count 4 5000
`, out.String())
	assert.Equal(t, arrange.LeftOut{Histograms: 2, Exemplars: 5, Starts: 2}, a.LeftOut)
	assert.Zero(t, a.Cut())
}

// OpenMetrics as it is written from the log has the numbers and the classic buckets, and says what it leaves out, as text does.
func TestOpenMetricsWithoutExtras(t *testing.T) {
	for _, version := range []Version{OpenMetrics1, OpenMetrics2} {
		w := newWorld(t)
		w.take(func(s *sender) {
			s.typed("c_total", "counter")
			s.number("c_total", 5000, 7, "lost")
			s.start(1)
			s.typed("g", "gauge")
			s.native(`g{a="b"}`, 5000, 2)
			s.number("g", 6000, 3)
			s.typed("n", "histogram")
			s.native("n", 5000, 4, "lost")
			s.classic("n", 6000, 5, 9)
			s.native("n", 6000, 5)
		})
		a := w.arranged()
		var out bytes.Buffer
		body := Format{OpenMetrics: version, Escaping: exposition.AllowUTF8}.Open(&out)
		require.NoError(t, body.Arrange(a, nil))
		require.NoError(t, body.End())
		counter, histogram := "# TYPE c counter\nc_total 7 5.000\n", "# TYPE n histogram\nn_bucket{le=\"1.0\"} 4 6.000\nn_bucket{le=\"+Inf\"} 5 6.000\nn_sum 1.5 6.000\nn_count 5 6.000\n"
		if version == OpenMetrics2 {
			counter, histogram = "# TYPE c_total counter\nc_total 7 5.000\n", "# TYPE n histogram\nn {count:5,sum:1.5,bucket:[1.0:4,+Inf:5]} 6.000\n"
		}
		assert.Equal(t, counter+"# TYPE g gauge\ng 3 6.000\n"+histogram+"# EOF\n", out.String())
		assert.Equal(t, arrange.LeftOut{Histograms: 3, Exemplars: 4, Starts: 2}, a.LeftOut)
	}
}
