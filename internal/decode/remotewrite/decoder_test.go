package remotewrite

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode"
)

var stale = math.Float64frombits(0x7ff0000000000002)

// What a message of version 1.0 brings.
func TestVersion1(t *testing.T) {
	x := label("__name__", "x")
	for name, c := range map[string]struct {
		body []byte
		want []string
		left []string
		w    Written
	}{
		"nothing": {},
		"a sample": {
			body: sub(1, x, label("a", "1"), label("b", "2"), sampleOf(1.5, 1000)),
			want: []string{`x{a="1",b="2"} 1.5 @1000`}, w: Written{Samples: 1},
		},
		"labels in any order": {
			body: join(sub(1, label("b", "2"), x, label("a", "1"), sampleOf(1, 1)), sub(1, x, label("b", "2"), label("a", "1"), sampleOf(1, 2))),
			want: []string{`x{b="2",a="1"} 1 @1`, `x{b="2",a="1"} 1 @2`}, w: Written{Samples: 2},
		},
		"no labels": {
			body: join(sub(1, x, sampleOf(1, 1)), sub(1, x, label("a", ""), sampleOf(2, 2)), sub(1, label("a", ""), x, sampleOf(3, 3))),
			want: []string{"x 1 @1", "x 2 @2", "x 3 @3"}, w: Written{Samples: 3},
		},
		"what is 0 is not in the message": {
			body: join(sub(1, x, sub(2)), sub(1, x, sub(2, number(2, 5))), sub(1, x, sub(2, double(1, 5)))),
			want: []string{"x 0 @0", "x 0 @5", "x 5 @0"}, w: Written{Samples: 3},
		},
		"fields in another order": {
			body: sub(1, sub(2, number(2, 7), double(1, 1)), sub(1, text(2, "1"), text(1, "a")), x, sub(99), number(98, 1), double(97, 1)),
			want: []string{`x{a="1"} 1 @7`}, w: Written{Samples: 1},
		},
		"several samples, and the series again": {
			body: join(sub(1, x, sampleOf(1, 1), sampleOf(2, 2)), sub(1, x, sampleOf(3, 3))),
			want: []string{"x 1 @1", "x 2 @2", "x 3 @3"}, w: Written{Samples: 3},
		},
		"odd values and times": {
			body: sub(1, x, sampleOf(stale, 1), sampleOf(math.NaN(), 2), sampleOf(math.Inf(-1), -3)),
			want: []string{"x 7ff0000000000002 @1", "x 7ff8000000000001 @2", "x -Inf @-3"}, w: Written{Samples: 3},
		},
		"the least time": {
			body: sub(1, x, sampleOf(1, math.MinInt64)),
			left: []string{"1: series 1: the time of a sample is the least that there is"},
		},
		"escapes, and letters beyond ASCII": {
			body: sub(1, x, label("a", "\"q\"\\\n"), label("b", "zwölf zeichen"), label("a.b", "1"), sampleOf(1, 1)),
			want: []string{`x{a="\"q\"\\\n",b="zwölf zeichen","a.b"="1"} 1 @1`}, w: Written{Samples: 1},
		},
		"names that are not classic": {
			body: join(sub(1, label("__name__", "x.y"), sampleOf(1, 1)), sub(1, label("__name__", "x y"), label("a", "1"), sampleOf(1, 1))),
			want: []string{`{"x.y"} 1 @1`, `{"x y",a="1"} 1 @1`}, w: Written{Samples: 2},
		},
		"long labels": {
			body: sub(1, x, label("a", strings.Repeat("v", 130)), label("b", "1"), sampleOf(1, 1)),
			want: []string{`x{a="` + strings.Repeat("v", 130) + `",b="1"} 1 @1`}, w: Written{Samples: 1},
		},
		"a series that is too long": {
			body: join(sub(1, x, label("a", strings.Repeat("v", 200)), sampleOf(1, 1), sampleOf(1, 2)), sub(1, x, sampleOf(1, 1))),
			want: []string{"x 1 @1"}, w: Written{Samples: 1},
			left: []string{"2: series 1: it has 207 bytes at least, the limit is 200: \"x{a=\\\"" + strings.Repeat("v", 55) + "\"…"},
		},
		"no name": {
			body: join(sub(1, label("a", "1"), sampleOf(1, 1), sampleOf(1, 2)), sub(1, sampleOf(1, 1)), sub(1, label("__name__", ""), sampleOf(1, 1)), sub(1, x, sampleOf(1, 1))),
			want: []string{"x 1 @1"}, w: Written{Samples: 1},
			left: []string{"2: series 1: it has no label __name__", "1: series 2: it has no label __name__", "1: series 3: it has no label __name__"},
		},
		"two names": {
			body: join(sub(1, x, label("__name__", "y"), sampleOf(1, 1)), sub(1, label("a", "1"), x, x, sampleOf(1, 1))),
			left: []string{"1: series 1: it has the label __name__ twice", "1: series 2: it has the label __name__ twice"},
		},
		"metadata": {
			body: join(sub(3, number(1, 1), text(2, "a_total"), text(4, "Helps."), text(5, "bytes")), sub(3, number(1, 4), text(2, "b")),
				sub(3, number(1, 6), text(2, "c")), sub(3, text(2, "d"), text(4, "x")), sub(3, number(1, 77), text(2, "e")), sub(3, number(1, 1))),
			want: []string{"a_total is a counter", `a_total: "Helps."`, "b is a untyped", "c is a gauge", `d: "x"`},
		},
		"exemplars": {
			body: sub(1, x, sampleOf(1, 1000), sampleOf(2, 2000), sub(3, label("id", "1"), double(2, 0.5), number(3, 900)), sub(3, label("id", "2"), number(3, 1500)), sub(3, number(3, 1600)), sub(3, number(3, 99_001))),
			want: []string{
				"x 1 @1000", `exemplar label:{name:"id" value:"1"} value:0.5 timestamp:{nanos:900000000}`, "x 2 @2000",
				`exemplar label:{name:"id" value:"2"} value:0 timestamp:{seconds:1 nanos:500000000}`, "exemplar value:0 timestamp:{seconds:1 nanos:600000000}",
				"exemplar value:0 timestamp:{seconds:99 nanos:1000000}",
			},
			w: Written{Samples: 2, Exemplars: 4},
		},
		"exemplars alone": {
			body: join(sub(1, x, sampleOf(1, 1000)), sub(1, x, sub(3, label("id", "1"), number(3, 900)))),
			want: []string{"x 1 @1000"}, w: Written{Samples: 1, Alone: 1},
		},
		"a native histogram": {
			body: sub(1, x, sub(4, number(1, 12), double(3, 18.4), number(4, 2), double(5, 0.001), number(6, 2), sub(11, number(2, 2)), sub(11, number(1, 2), number(2, 2)),
				packed(12, 2, 2, 1, 0), sub(8, number(2, 1)), number(9, 4), number(14, 2), number(15, 1000))),
			want: []string{"x sample_count:12 sample_sum:18.4 schema:1 zero_threshold:0.001 zero_count:2 negative_span:{length:1} negative_delta:2 " +
				"positive_span:{length:2} positive_span:{offset:1 length:2} positive_delta:1 positive_delta:1 positive_delta:-1 positive_delta:0 @1000"},
			w: Written{Histograms: 1},
		},
		"a native histogram of floats": {
			body: sub(1, x, sub(4, double(2, 1.5), double(3, 2), double(7, 0.5), sub(11, number(2, 1)), text(13, string(double(0, 1)[1:])), double(10, 3), number(15, 1))),
			want: []string{"x sample_count_float:1.5 sample_sum:2 zero_count_float:0.5 negative_count:3 positive_span:{length:1} positive_count:1 @1"},
			w:    Written{Histograms: 1},
		},
		"a native histogram of nothing, which ends": {
			body: sub(1, x, sub(4, number(1, 0), double(3, stale), number(15, 1))),
			want: []string{"x sample_count:0 sample_sum:nan positive_span:{} @1"}, w: Written{Histograms: 1},
		},
		"native histograms that cannot be said": {
			body: join(sub(1, x, sub(4, number(4, 105), number(15, 1)), sub(4, number(14, 3)), sub(4, number(4, 18))), sub(1, x, sampleOf(1, 1))),
			want: []string{"x 1 @1"}, w: Written{Samples: 1},
			left: []string{
				"1: series 1: a native histogram has custom buckets, which a scrape by protobuf cannot carry",
				"1: series 1: a native histogram is a gauge, which a scrape would make a counter of",
				"1: series 1: a native histogram has the schema 9; -4 to 8 are known",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var to noted
			left, w, err := read(t, V1, c.body, &to)
			require.NoError(t, err)
			assert.Equal(t, c.want, to.lines)
			assert.Equal(t, c.left, left)
			assert.Equal(t, c.w, w)
		})
	}
}

// What one of version 2.0 brings, where it differs.
func TestVersion2(t *testing.T) {
	symbols := func(s ...string) (all []byte) {
		for _, s := range append([]string{"", "__name__", "x"}, s...) {
			all = append(all, text(4, s)...)
		}
		return all
	}
	x := func(more ...uint64) []byte { return packed(1, append([]uint64{1, 2}, more...)...) }
	for name, c := range map[string]struct {
		body []byte
		want []string
		left []string
		w    Written
	}{
		"nothing": {body: symbols()},
		"samples": {
			body: join(symbols("a", "1\n", "b.c", "2"), sub(5, x(3, 4, 5, 6), sampleOf(1, 1), sub(5)), sub(5, x(3, 4), sub(2), sub(5)), sub(5, x(), sampleOf(stale, 2)), sub(5, x(3, 0), sampleOf(1, 3))),
			want: []string{`x{a="1\n","b.c"="2"} 1 @1`, `x{a="1\n"} 0 @0`, "x 7ff0000000000002 @2", "x 1 @3"}, w: Written{Samples: 4},
		},
		"symbols behind the series, references one by one, the name last": {
			body: join(sub(5, sampleOf(1, 1), number(1, 3), number(1, 3), x()), symbols("a")),
			want: []string{`x{a="a"} 1 @1`}, w: Written{Samples: 1},
		},
		"a name that is not classic": {
			body: join(symbols("x.y", "a"), sub(5, packed(1, 1, 3), sampleOf(1, 1)), sub(5, packed(1, 4, 4, 1, 3), sampleOf(1, 1))),
			want: []string{`{"x.y"} 1 @1`, `{"x.y",a="a"} 1 @1`}, w: Written{Samples: 2},
		},
		"start times": {
			body: join(symbols(), sub(5, x(), sampleOf(1, 10, number(3, 5)), sampleOf(1, 20), number(6, 4)), sub(5, x(), sub(3, number(15, 9), number(17, 8)))),
			want: []string{"x 1 @10", "start 5", "x 1 @20", "start 4", "x positive_span:{} @9", "start 8"}, w: Written{Samples: 2, Histograms: 1},
		},
		"metadata": {
			body: join(symbols("Helps.", "x_count"), sub(5, x(), sampleOf(1, 1), sub(5, number(1, 1), number(3, 3))), sub(5, x(2, 2), sampleOf(1, 1), sub(5, number(1, 1), number(3, 3))),
				sub(5, packed(1, 1, 4), sampleOf(1, 1), sub(5, number(1, 5))), sub(5, x(), sub(5, number(1, 3)))),
			want: []string{"x 1 @1", "x is a counter", `x: "Helps."`, `x{x="x"} 1 @1`, "x_count 1 @1", "x is a summary", "x is a histogram"}, w: Written{Samples: 3},
		},
		"exemplars": {
			body: join(symbols("id", "1"), sub(5, x(), sampleOf(1, 10), sub(4, packed(1, 3, 4), double(2, 0.5), number(3, -1)))),
			want: []string{"x 1 @10", `exemplar label:{name:"id" value:"1"} value:0.5 timestamp:{seconds:-1 nanos:999000000}`}, w: Written{Samples: 1, Exemplars: 1},
		},
		"references to nothing": {
			body: join(symbols(), sub(5, x(3, 3), sampleOf(1, 1)), sub(5, packed(1, 1), sampleOf(1, 1)), sub(5, x(), sampleOf(1, 1), sub(4, packed(1, 7, 7)), sub(5, number(3, 1<<40)))),
			want: []string{"x 1 @1"}, w: Written{Samples: 1},
			left: []string{
				"1: series 1: there is no symbol 3, but 3 of them", "1: series 2: it has a name of a label without a value",
				"0: series 3: there is no symbol 7, but 3 of them", "0: series 3: there is no symbol 4294967295, but 3 of them",
			},
		},
		"symbols that are too long for a series": {
			body: join(symbols(strings.Repeat("v", 201), "a"), sub(5, x(4, 3), sampleOf(1, 1)), sub(5, x(3, 4), sampleOf(1, 1)), sub(5, packed(1, make([]uint64, 300)...), sampleOf(1, 1)), sub(5, x(), sampleOf(1, 1), sub(4, packed(1, 4, 3)))),
			want: []string{"x 1 @1"}, w: Written{Samples: 1},
			left: []string{
				"1: series 1: a label has 201 bytes, the limit of a series is 200: \"" + strings.Repeat("v", 60) + "\"…",
				"1: series 2: a label has 201 bytes, the limit of a series is 200: \"" + strings.Repeat("v", 60) + "\"…",
				"1: series 3: it has more labels than there are bytes for a series, which are 200",
				"0: series 4: an exemplar has 210 bytes at least, the limit of a series is 200",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var to noted
			left, w, err := read(t, V2, c.body, &to)
			require.NoError(t, err)
			assert.Equal(t, c.want, to.lines)
			assert.Equal(t, c.left, left)
			assert.Equal(t, c.w, w)
		})
	}
}

// A message that is broken is refused as a whole, and so is one of the other version, which would seem to have nothing in it.
func TestBroken(t *testing.T) {
	x := label("__name__", "x")
	v1 := sub(1, x, label("a", "1"), sampleOf(1, 1<<40), sub(3, label("a", "1"), number(3, 1)), sub(4, number(1, 1), packed(12, 1, 300), text(13, string(double(0, 1)[1:]))))
	v2 := join(text(4, ""), text(4, "__name__"), text(4, "x"), sub(5, packed(1, 1, 2), sampleOf(1, 1<<40), sub(4, packed(1, 1, 2)), sub(5, number(1, 1))))
	for version, whole := range [][]byte{V1: v1, V2: v2} {
		_, _, err := read(t, Version(version), whole, &noted{})
		require.NoError(t, err)
		if Version(version) == V2 {
			whole = whole[:len(whole)-1]
		}
		for n := 1; n < len(whole); n++ {
			if Version(version) == V2 && n < 16 { // symbols alone
				continue
			}
			_, _, err := read(t, Version(version), whole[:n], &noted{})
			require.Error(t, err, "%d: %x", version, whole[:n])
		}
		_, _, err = read(t, V2-Version(version), whole, &noted{})
		require.ErrorContains(t, err, "the message seems to be of version")
	}
	for name, body := range map[string][]byte{
		"a series that is a number": number(1, 1), "a label that is a number": sub(1, number(1, 1)), "a sample's time is a double": sub(1, x, sub(2, double(2, 1))),
		"the field 0": number(0, 1), "a group": tag(9, 3), "metadata": sub(3, double(1, 1)), "a name of a label is a number": sub(1, sub(1, number(1, 1)), sampleOf(1, 1)),
		"deltas are doubles": sub(1, x, sub(4, double(12, 1))), "counts are numbers": sub(1, x, sub(4, number(13, 1))),
		"a sample within a sample": sub(1, x, sub(2, sub(1))), "an exemplar's time": sub(1, x, sampleOf(1, 1), sub(3, double(3, 1))),
	} {
		_, _, err := read(t, V1, body, &noted{})
		require.Error(t, err, name)
	}
}

// A sink's error leaves the sample out, with its exemplars and what else is said of it; some end the reading.
func TestSinkRefuses(t *testing.T) {
	x := label("__name__", "x")
	body := join(
		sub(1, x, sampleOf(1, 1), sampleOf(2, 2), sub(3, number(3, 2))),
		sub(1, x, sampleOf(3, 1), sub(3, number(3, 1))),
	)
	to := noted{refuse: func(_ string, ms int64) error {
		if ms == 1 {
			return errors.New("no")
		}
		return nil
	}}
	left, w, err := read(t, V1, body, &to)
	require.NoError(t, err)
	assert.Equal(t, []string{"1: series 1: no", "1: series 2: no"}, left)
	assert.Equal(t, []string{"x 2 @2", "exemplar value:0 timestamp:{nanos:2000000}"}, to.lines)
	assert.Equal(t, Written{Samples: 1, Exemplars: 1, Alone: 1}, w)

	full := &decode.BrokenError{Err: errors.New("full")}
	to.refuse = func(string, int64) error { return full }
	left, _, err = read(t, V1, body, &to)
	require.ErrorIs(t, err, full)
	assert.Empty(t, left)
	d := Decoder{SeriesBytes: 100, Refuse: func(int, error) error { return full }}
	_, err = d.Decode(V1, sub(1, sampleOf(1, 1)), &noted{})
	require.ErrorIs(t, err, full)
}

// Symbols beyond what is free ask for room.
func TestRoomForSymbols(t *testing.T) {
	var body []byte
	for range freeSymbols + 1 {
		body = append(body, text(4, "")...)
	}
	asked := 0
	d := Decoder{SeriesBytes: 100, Room: func(n int) error { asked += n; return nil }}
	_, err := d.Decode(V2, body[:2*1000], &noted{})
	require.NoError(t, err)
	assert.Zero(t, asked)
	_, err = d.Decode(V2, body, &noted{})
	require.NoError(t, err)
	assert.GreaterOrEqual(t, asked, freeSymbols*symbolBytes)
	full := errors.New("full")
	d.Room = func(int) error { return full }
	_, err = d.Decode(V2, body, &noted{})
	require.ErrorIs(t, err, full)
}

// Symbols are said once, and what they make is bounded.
func TestTextIsBounded(t *testing.T) {
	body := join(text(4, ""), text(4, "__name__"), text(4, strings.Repeat("x", 150)))
	series := sub(5, packed(1, 1, 2), sub(2))
	_, w, err := read(t, V2, append(body, bytes.Repeat(series, 60)...), &noted{})
	require.NoError(t, err)
	assert.Equal(t, 60, w.Samples)
	_, _, err = read(t, V2, append(body, bytes.Repeat(series, 70)...), &noted{})
	require.ErrorIs(t, err, ErrTooLarge)
}
