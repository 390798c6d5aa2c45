package render

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/exposition"
)

// requireMessages pushes texts and compares what is written.
func requireMessages(t *testing.T, want []string, pushes ...string) {
	t.Helper()
	w := newWorld(t)
	for _, p := range pushes {
		w.push(p)
	}
	assert.Equal(t, want, shown(w.families(exposition.AllowUTF8, nil)), "%q", pushes)
}

func TestProtoOfPlainTypes(t *testing.T) {
	requireMessages(t, []string{
		`untyped nothing; 1 @7`,
		`counter a_total "What a\ncounts."; gatewayID=g 2 @5; gatewayID=g 3 @6; gatewayID=h path=a"\ 
b 4 @5`,
		`gauge b; -0 @5`,
		`untyped c; NaN @5`,
		`counter d; +Inf @5`,
	}, `# HELP a_total What a\ncounts.
# TYPE a_total counter
a_total{gatewayID="g"} 3 6
a_total{gatewayID="h",path="a\"\\ \nb"} 4 5
# TYPE b gauge
b -0 5
# TYPE c untyped
c NaN 5
# TYPE d counter
d +Inf 5
nothing 1 7
`, `a_total{gatewayID="g"} 2 5`)
	requireMessages(t, nil)
	requireMessages(t, nil, "# TYPE x counter\nx 1 0\n") // the zero time is none to Prometheus
	requireMessages(t, []string{`untyped x; 1 @-5; 3 @5`}, "x 1 -5\nx 2 0\nx 3 5\n")
}

func TestProtoOfHistograms(t *testing.T) {
	h := func(ms int, a, b, inf, sum, count string) string {
		return fmt.Sprintf("x_bucket{g=\"1\",le=\"0.5\"} %[2]s %[1]d\nx_bucket{g=\"1\",le=\"1\"} %[3]s %[1]d\nx_bucket{g=\"1\",le=\"+Inf\"} %[4]s %[1]d\n"+
			"x_sum{g=\"1\"} %[5]s %[1]d\nx_count{g=\"1\"} %[6]s %[1]d\n", ms, a, b, inf, sum, count)
	}
	const head = "# HELP x Help.\n# TYPE x histogram\n"
	whole := `histogram x "Help."; g=1 0.5:1 1:2 +Inf:3 4.5/3 @5`
	requireMessages(t, []string{whole}, head+h(5, "1", "2", "3", "4.5", "3"))
	requireMessages(t, []string{whole + `; g=1 0.5:1.5 1:2 +Inf:1e+300 NaN/1e+300 @6`}, head+h(5, "1", "2", "3", "4.5", "3")+h(6, "1.5", "2", "1e300", "NaN", "1e300"))

	// Of any order, and apart from each other.
	lines := strings.SplitAfter(h(5, "1", "2", "3", "4.5", "3"), "\n")
	requireMessages(t, []string{whole}, head+lines[2]+lines[4]+lines[1]+lines[3]+lines[0])
	other := strings.ReplaceAll(h(5, "1", "2", "3", "4.5", "3"), `g="1"`, `g="2"`)
	others := strings.SplitAfter(other, "\n")
	requireMessages(t, []string{whole + `; g=2 0.5:1 1:2 +Inf:3 4.5/3 @5`},
		head+lines[0]+lines[1]+others[0]+lines[2]+others[1]+others[2]+lines[3]+others[3]+others[4]+lines[4])

	// Labels on both sides of the bound, none, and in quotes.
	requireMessages(t, []string{`histogram x; a=b z={"le=\ +Inf:1 2/1 @5`, `histogram y; +Inf:1 2/1 @5`, `histogram z.y; a.b=c +Inf:1 2/1 @5`},
		`# TYPE x histogram
x_bucket{a="b",le="+Inf",z="{\"le=\\"} 1 5
x_sum{a="b",z="{\"le=\\"} 2 5
x_count{a="b",z="{\"le=\\"} 1 5
# TYPE y histogram
y_bucket{le="inf"} 1 5
y_sum 2 5
y_count 1 5
# TYPE "z.y" histogram
{"z.y_bucket","a.b"="c",le="+Inf"} 1 5
{"z.y_sum","a.b"="c"} 2 5
{"z.y_count","a.b"="c"} 1 5
`)

	// What a Prometheus that converts histograms would refuse, or would not give back as
	// it was.
	apart := func(a, b, inf, sum, count string) {
		t.Helper()
		requireMessages(t, []string{
			fmt.Sprintf(`untyped x_bucket; g=1 le=0.5 %s @5; g=1 le=1.0 %s @5; g=1 le=+Inf %s @5`, a, b, inf),
			fmt.Sprintf(`untyped x_sum; g=1 %s @5`, sum), fmt.Sprintf(`untyped x_count; g=1 %s @5`, count),
		}, head+h(5, a, b, inf, sum, count))
	}
	apart("2", "1", "3", "4", "3")
	apart("1", "2", "3", "4", "2")
	apart("-1", "2", "3", "4", "3")
	apart("-0", "2", "3", "4", "3")
	apart("1", "NaN", "3", "4", "3")
	apart("1", "2", "+Inf", "4", "+Inf")
	apart("1", "2", "3", "4", "NaN")

	// Parts that are missing at some of the times: what comes before and behind the rest.
	requireMessages(t, []string{
		`untyped x_bucket; g=1 le=0.5 1 @5`, `untyped x_sum; g=1 4.5 @5`,
		`histogram x "Help."; g=1 0.5:2 1:3 +Inf:4 5/4 @6; g=1 0.5:3 1:4 +Inf:5 6/5 @7`,
		`untyped x_bucket; g=1 le=1.0 5 @8`, `untyped x_count; g=1 7 @8`,
		`untyped x_bucket; g=1 le=0.5 9 @9; g=1 le=1.0 9 @9; g=1 le=+Inf 9 @9`, `untyped x_sum; g=1 9 @9`, `untyped x_count; g=1 9 @9`,
	}[:5], head+lines[0]+lines[3]+h(6, "2", "3", "4", "5", "4")+h(7, "3", "4", "5", "6", "5")+"x_bucket{g=\"1\",le=\"1\"} 5 8\nx_count{g=\"1\"} 7 8\n")
	// A bucket that not all points have.
	requireMessages(t, []string{whole + `; g=1 0.5:1 0.7:1 1:2 +Inf:3 4.5/3 @6`},
		head+h(5, "1", "2", "3", "4.5", "3")+h(6, "1", "2", "3", "4.5", "3")+"x_bucket{g=\"1\",le=\"0.7\"} 1 6\n")
}

// What the first gateways' series tell is not told again of the others, and is true of these all the same.
func TestProtoOfFleets(t *testing.T) {
	const kinds = "# TYPE x histogram\n# TYPE y summary\n"
	one := func(labels string) string {
		return strings.ReplaceAll("x_bucket{LABELS,le=\"0.5\"} 1 5\nx_bucket{LABELS,le=\"+Inf\"} 2 5\nx_sum{LABELS} 3 5\nx_count{LABELS} 2 5\n"+
			"y{LABELS,quantile=\"0.5\"} 1 5\ny_sum{LABELS} 3 5\ny_count{LABELS} 2 5\n", "LABELS", labels)
	}
	f := func(name string, metrics int, body func(gateway string) string, gateways ...string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for _, g := range gateways {
				w.push(kinds + body(g))
			}
			want, _ := expected(w.arranged())
			all := w.families(exposition.AllowUTF8, nil)
			assert.Equal(t, want, stored(all))
			n := 0
			for _, family := range all {
				n += len(family.Metric)
			}
			assert.Equal(t, metrics, n)
		})
	}
	plain := func(g string) string { return one(fmt.Sprintf("a=\"b\",gatewayID=%q", g)) }
	f("one after the other", 8, plain, "g1", "g2", "gateway3", `g"4`)
	f("called like a label", 6, plain, "b", "g2", "b2")
	f("called like a bound", 8, plain, "0.5", "0.25", "0.5", "+Inf", "0.75")
	f("several of each", 12, func(g string) string { return plain(g) + one(fmt.Sprintf("a=\"c\",gatewayID=%q", g)) }, "g1", "g2", "g3")
	// Those of another gateway come between.
	f("some of another", 12, func(g string) string {
		lines := strings.SplitAfter(plain(g), "\n")
		others := strings.SplitAfter(plain(g+"0"), "\n")
		var mixed strings.Builder
		for i := range lines {
			mixed.WriteString(lines[i] + others[len(others)-1-i])
		}
		return mixed.String()
	}, "g1", "g2", "g3")
	// The name is cut out of another label in some.
	f("in several labels", 7, func(g string) string {
		bucket := "x_bucket{gatewayID=%[1]q,host=\"g1\",le=\"+Inf\"} 2 5\n"
		rest := "x_sum{gatewayID=%[1]q,host=\"g1\"} 3 5\nx_count{gatewayID=%[1]q,host=\"g1\"} 2 5\n"
		return fmt.Sprintf(bucket+rest, g) + fmt.Sprintf("x_bucket{host=%[1]q,le=\"+Inf\",gatewayID=\"g1\"} 2 5\nx_sum{host=%[1]q,gatewayID=\"g1\"} 3 5\nx_count{gatewayID=\"g1\",host=%[1]q} 2 5\n", g)
	}, "g1", "g2", "g3", "g4")
}

func TestProtoOfSummaries(t *testing.T) {
	const head = "# HELP x Help.\n# TYPE x summary\n"
	requireMessages(t, []string{`summary x "Help."; g=1 0.5:-1 0.99:NaN 4.5/3 @5; g=1 0.5:0 0.99:1 5/3 @6`, `summary y; 1/2 @5`}, head+`x{g="1",quantile="0.5"} -1 5
x{g="1",quantile="0.99"} NaN 5
x_sum{g="1"} 4.5 5
x_count{g="1"} 3 5
x{g="1",quantile="0.5"} 0 6
x{g="1",quantile="0.99"} 1 6
x_sum{g="1"} 5 6
x_count{g="1"} 3 6
# TYPE y summary
y_sum 1 5
y_count 2 5
`)
	requireMessages(t, []string{`untyped x "Help."; g=1 quantile=1.0 1 @5`, `untyped x_sum; g=1 2 @5`},
		head+"x{g=\"1\",quantile=\"1\"} 1 5\nx_sum{g=\"1\"} 2 5\n")
	requireMessages(t, []string{`untyped x_sum; 2 @5`, `untyped x_count; 1.5 @5`}, head+"x_sum 2 5\nx_count 1.5 5\n")
}

// Series that are no part of a histogram or summary, though of its family, and bounds that
// are no numbers.
func TestProtoOfOddSeries(t *testing.T) {
	const whole = "x_bucket{le=\"+Inf\"} 1 5\nx_sum 2 5\nx_count 1 5\n"
	requireMessages(t, []string{`histogram x; +Inf:1 2/1 @5`, `untyped x; 7 @5`, `untyped x_sum; le=1.0 8 @5`, `untyped x_bucket; 9 @5; le=NaN 1 @5; le=1.0 quantile=1 1 @5`},
		"# TYPE x histogram\n"+whole+"x 7 5\nx_sum{le=\"1\"} 8 5\nx_bucket 9 5\nx_bucket{le=\"NaN\"} 1 5\nx_bucket{le=\"1\",quantile=\"1\"} 1 5\n")
	requireMessages(t, []string{`untyped x_bucket; le=1 1 @5; le=small 1 @5`, `untyped x_sum; 2 @5`, `untyped x "Help."; 3 @5`},
		"# HELP x Help.\n# TYPE x histogram\nx_bucket{le=\"1\"} 1 5\nx_bucket{le=\"small\"} 1 5\nx_sum 2 5\nx 3 5\n")
	requireMessages(t, []string{`untyped x_bucket; le=1 1 @5`, `untyped x_sum; 2 @5`}, "x_bucket{le=\"1\"} 1 5\nx_sum 2 5\n")
	// One bucket under two names is one to Prometheus, which keeps the first.
	requireMessages(t, []string{`untyped x_bucket; le=1.0 1 @5; le=1.0 2 @5; le=+Inf 2 @5`, `untyped x_sum; 2 @5`, `untyped x_count; 2 @5`},
		"# TYPE x histogram\nx_bucket{le=\"1\"} 1 5\nx_bucket{le=\"1.0\"} 2 5\nx_bucket{le=\"+Inf\"} 2 5\nx_sum 2 5\nx_count 2 5\n")
}

// A marker arrives with its bits, by protobuf, and ends each series by itself.
func TestMarkers(t *testing.T) {
	w := newWorld(t)
	w.push("# TYPE c counter\nc 1 5\n# TYPE g gauge\ng 1 5\n# TYPE u untyped\nu 1 5\n" +
		"# TYPE h histogram\nh_bucket{le=\"1\"} 1 5\nh_bucket{le=\"+Inf\"} 1 5\nh_sum 2 5\nh_count 1 5\n# TYPE s summary\ns{quantile=\"0.5\"} 1 5\ns_sum 2 5\ns_count 1 5\n")
	w.mark(6, "c", "g", "u", `h_bucket{le="1"}`, `h_bucket{le="+Inf"}`, "h_sum", "h_count", `s{quantile="0.5"}`, "s_sum", "s_count")
	assert.Equal(t, []string{
		`counter c; 1 @5; end @6`, `gauge g; 1 @5; end @6`,
		`histogram h; 1:1 +Inf:1 2/1 @5`,
		`untyped h_bucket; le=1.0 end @6; le=+Inf end @6`, `untyped h_sum; end @6`, `untyped h_count; end @6`,
		`summary s; 0.5:1 2/1 @5`,
		`untyped s; quantile=0.5 end @6`, `untyped s_sum; end @6`, `untyped s_count; end @6`,
		`untyped u; 1 @5; end @6`,
	}, shown(w.families(exposition.AllowUTF8, nil)))

	var text strings.Builder
	require.NoError(t, Text(&text, w.arranged(), exposition.AllowUTF8, nil))
	assert.NotContains(t, text.String(), "NaN")
	assert.NotContains(t, text.String(), " 6\n")
	assert.Equal(t, 10, strings.Count(text.String(), " 5\n"))

	// A family that only ends says nothing in letters.
	w = newWorld(t)
	w.push("# TYPE x gauge\nx 1 5\n")
	c, _ := w.store.Log.Cursor(0, 0, 1)
	v, _ := w.store.Read(c, math.MaxUint64)
	w.store.Log.Take(w.store.Log.Offer(c, v.From, v.To, samples.Tally{}))
	w.mark(6, "x")
	assert.Equal(t, []string{`gauge x; end @6`}, shown(w.families(exposition.AllowUTF8, nil)))
	text.Reset()
	require.NoError(t, Text(&text, w.arranged(), exposition.AllowUTF8, nil))
	assert.Empty(t, text.String())
}

// Histograms whose series begin again behind a marker go on.
func TestMarkerBetweenPoints(t *testing.T) {
	w := newWorld(t)
	h := func(ms int) {
		w.push(fmt.Sprintf("# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 %[1]d\nh_sum 2 %[1]d\nh_count 1 %[1]d\n", ms))
	}
	h(5)
	w.mark(6, `h_bucket{le="+Inf"}`, "h_sum", "h_count")
	h(7)
	assert.Equal(t, []string{
		`histogram h; +Inf:1 2/1 @5`, `histogram h; +Inf:1 2/1 @7`,
	}, keep(shown(w.families(exposition.AllowUTF8, nil)), "histogram"))
}

func keep(lines []string, start string) (kept []string) {
	for _, l := range lines {
		if strings.HasPrefix(l, start) {
			kept = append(kept, l)
		}
	}
	return kept
}

// Whatever labels come one after the other, the set has those that came last.
func TestLabelSetIsThatOfTheLast(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	random := func(words ...string) string { return words[r.IntN(len(words))] }
	var s labelSet
	for range 20_000 {
		var labels []string
		for _, name := range []string{random("a", "b"), random("c", `"d.e"`), random("f", "g")} {
			if r.IntN(4) > 0 {
				labels = append(labels, name+`="`+random("", "x", "y", "xy", "yx", `\"`, `\\`, "=", ",", "{}", "é")+`"`)
			}
		}
		text := strings.Join(labels, ",")
		s.set(text)
		require.Equal(t, appendLabels(nil, text), append([]byte(nil), s.bytes...), text)
	}
}

// The hub's own gauge comes last, and has no time.
func TestOwn(t *testing.T) {
	w := newWorld(t)
	w.push("# TYPE x histogram\nx_sum 1 5\n")
	own := &Own{Name: "own", Help: "Help.", Labels: [][2]string{{"cursor", `a"b`}, {"part", "1/2"}}, Value: 1764500000123456}
	assert.Equal(t, []string{`untyped x_sum; 1 @5`, `gauge own "Help."; cursor=a"b part=1/2 1.764500000123456e+15`},
		shown(w.families(exposition.Values, own)))
	var text strings.Builder
	require.NoError(t, Text(&text, w.arranged(), exposition.Values, own))
	assert.Equal(t, "# TYPE x histogram\nx_sum 1 5\n# HELP own Help.\n# TYPE own gauge\nown{cursor=\"a\\\"b\",part=\"1/2\"} 1764500000123456\n", text.String())
}

// Names that a scraper does not read are escaped as in the text.
func TestProtoEscapes(t *testing.T) {
	w := newWorld(t)
	w.push("# TYPE \"x.y\" histogram\n{\"x.y_bucket\",le=\"1\"} 1 5\n{\"x.y_bucket\",le=\"+Inf\"} 1 5\n{\"x.y_sum\"} 2 5\n{\"x.y_count\"} 1 5\n" +
		"# TYPE z histogram\nz_bucket{\"a.b\"=\"c\",le=\"+Inf\"} 1 5\nz_sum{\"a.b\"=\"c\"} 1 5\nz_count{\"a.b\"=\"c\"} 1 5\n# TYPE \"c.d\" counter\n{\"c.d\"} 1 5\n")
	assert.Equal(t, []string{
		`counter U__c_2e_d; 1 @5`,
		`untyped U__x_2e_y__bucket; le=1.0 1 @5; le=+Inf 1 @5`, `untyped U__x_2e_y__sum; 2 @5`, `untyped U__x_2e_y__count; 1 @5`,
		`histogram z; U__a_2e_b=c +Inf:1 1/1 @5`,
	}, shown(w.families(exposition.Values, nil)))
	assert.Equal(t, []string{`counter c.d; 1 @5`, `histogram x.y; 1:1 +Inf:1 2/1 @5`, `histogram z; a.b=c +Inf:1 1/1 @5`},
		shown(w.families(exposition.AllowUTF8, nil)))
}

// A family that is large comes in messages of some size, whatever the sizes are.
func TestLargeFamilies(t *testing.T) {
	w := newWorld(t)
	long := strings.Repeat("x", 4000)
	var text strings.Builder
	text.WriteString("# TYPE x gauge\n")
	for i := range 20_000 {
		fmt.Fprintf(&text, "x{n=\"%d\",l=%q} 1 5\n", i, long[:i%500])
	}
	for i := range 5 {
		fmt.Fprintf(&text, "x{m=%q} 1 5\n", long[:i*1000])
	}
	text.WriteString("# TYPE h histogram\n")
	for i := range 150_000 { // more than 2 MiB
		fmt.Fprintf(&text, "h_bucket{le=\"%d\"} 1 5\n", i)
	}
	text.WriteString("h_bucket{le=\"+Inf\"} 1 5\nh_sum 1 5\nh_count 1 5\n")
	w.push(text.String())
	sizes := &sized{}
	require.NoError(t, Proto(sizes, w.arranged(), exposition.AllowUTF8, nil))
	n, families := 0, decoded(t, sizes.Bytes())
	for _, f := range families {
		if f.GetName() == "x" {
			n += len(f.GetMetric())
		}
	}
	assert.Equal(t, 20_005, n)
	assert.Len(t, families[0].GetMetric()[0].GetHistogram().GetBucket(), 150_001)
	for _, size := range sizes.sizes[1:] {
		assert.LessOrEqual(t, size, flushBytes+8<<10)
	}
}

type sized struct {
	bytes.Buffer
	sizes []int
}

func (s *sized) Write(b []byte) (int, error) {
	s.sizes = append(s.sizes, len(b))
	return s.Buffer.Write(b)
}

// Whoever does not take what is written is not written to again.
func TestProtoStopsAtAnError(t *testing.T) {
	w := newWorld(t)
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "x{n=\"%d\"} 1 5\ny_sum{n=\"%d\"} 1 5\n# TYPE y histogram\n", i, i)
	}
	w.push(text.String())
	for fails := range 4 {
		out := &failing{after: fails}
		assert.ErrorIs(t, Proto(out, w.arranged(), exposition.AllowUTF8, &Own{Name: "own"}), io.ErrShortWrite)
		assert.Equal(t, fails+1, out.writes)
	}
}

type failing struct{ after, writes int }

func (f *failing) Write(b []byte) (int, error) {
	if f.writes++; f.writes > f.after {
		return 0, io.ErrShortWrite
	}
	return len(b), nil
}

// More samples of as many series take no more allocations.
func TestProtoAllocatesNothingForSamples(t *testing.T) {
	allocs := func(each int) float64 {
		w := newWorld(t)
		for i := range each {
			w.push(histograms(50, 5+i) + gauges(50, 5+i))
		}
		a := w.arranged()
		return testing.AllocsPerRun(5, func() {
			if err := Proto(io.Discard, a, exposition.AllowUTF8, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	one, ten := allocs(1), allocs(10)
	assert.LessOrEqual(t, ten, one+2)
	assert.Less(t, one, 40.0)
}

func gauges(n, ms int) string {
	var b strings.Builder
	b.WriteString("# TYPE gateway_load gauge\n")
	for i := range n {
		fmt.Fprintf(&b, "gateway_load{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} %d.5 %d\n", i, i, ms)
	}
	return b.String()
}

func histograms(n, ms int) string {
	var b strings.Builder
	b.WriteString("# TYPE request_seconds histogram\n")
	for i := range n {
		for k := range 10 {
			fmt.Fprintf(&b, "request_seconds_bucket{gatewayID=\"gw%04d\",le=\"%g\",service=\"mme\"} %d %d\n", i, float64(k)/8, i*k, ms)
		}
		fmt.Fprintf(&b, "request_seconds_bucket{gatewayID=\"gw%04[1]d\",le=\"+Inf\",service=\"mme\"} %[2]d %[3]d\n"+
			"request_seconds_sum{gatewayID=\"gw%04[1]d\",service=\"mme\"} %[2]d.25 %[3]d\nrequest_seconds_count{gatewayID=\"gw%04[1]d\",service=\"mme\"} %[2]d %[3]d\n", i, i*10, ms)
	}
	return b.String()
}

// expected is what the series of an arrangement are to Prometheus by text.
func expected(a *arrange.Arrangement) (all map[string][]point, twice bool) {
	all = map[string][]point{}
	parser := exposition.NewSeriesParser(exposition.Limits{})
	for _, f := range a.Rank.Families {
		for _, id := range a.Rank.Order[f.From:f.To] {
			if a.Count(id) == 0 {
				continue
			}
			name, labels := split(a.Rank.Text(id))
			_, err := parser.Parse([]byte(a.Rank.Text(id)))
			if err != nil {
				panic(err)
			}
			key := []string{"__name__=" + name}
			for labels != "" {
				var l label
				l, labels = next(labels)
				value, ok := parser.Label(l.name)
				if !ok {
					panic("no label " + l.name)
				}
				spelled := string(value)
				if v, err := strconv.ParseFloat(spelled, 64); err == nil && (l.name == "le" && f.Type == "histogram" || l.name == "quantile" && f.Type == "summary") {
					spelled = theirs(v)
				}
				key = append(key, l.name+"="+spelled)
			}
			twice = add(all, key, a.Of(id)) || twice
		}
	}
	return all, twice
}

// add adds the points of a series to all, and says whether there were some.
func add(all map[string][]point, labels []string, points []arrange.Point) (twice bool) {
	slices.Sort(labels)
	key := strings.Join(labels, "\xff")
	twice = all[key] != nil
	for _, p := range points {
		if p.Time != 0 {
			all[key] = append(all[key], point{p.Time, math.Float64bits(exact(p.Value))})
		}
	}
	return twice
}

// Whatever is pushed, protobuf has the same series, times and values as the text.
func FuzzProto(f *testing.F) {
	f.Add([]byte("# TYPE x counter\nx{a=\"b\"} 1 5\nx{a=\"b\"} 2 4\n"), []byte("# TYPE x gauge\nx 2 7\n"))
	f.Add([]byte(histograms(2, 5)), []byte(histograms(3, 6)))
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1 5\nx_sum 2 5\n"), []byte("x_bucket{le=\"+Inf\"} 1 5\nx_count 1 5\nx_bucket{le=\"small\"} 1 6\n"))
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1 5\nx_bucket{le=\"1.0\"} 1 6\nx_bucket{le=\"inf\",z=\"\\n\"} 2 5\n"), []byte("x{le=\"3\"} 1 5\n"))
	f.Add([]byte("# TYPE x summary\nx{quantile=\"1\"} NaN 3\nx_sum 4 3\nx_count 5 3\n"), []byte("x_count{quantile=\"2\"} 1.5 4\n"))
	f.Add([]byte("# TYPE \"x.y\" histogram\n{\"x.y_bucket\",le=\"1\"} 1 9\n{\"x.y_sum\",\"a.b\"=\"c\"} 2 9\n"), []byte("{\"x\"} 1 5\n"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		w := newWorld(t)
		for _, text := range [][]byte{one, two} {
			_, _, _ = w.Text(text, time.Now()) // refused is fine
		}
		want, twice := expected(w.arranged())
		got := stored(w.families(exposition.AllowUTF8, nil))
		if !twice { // else it depends on which of two spellings comes first
			require.Equal(t, want, got)
		}
	})
}
