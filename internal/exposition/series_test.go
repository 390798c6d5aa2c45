package exposition

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func parse(spelling string) (Series, error) {
	return NewSeriesParser(Limits{}).Parse([]byte(spelling))
}

func TestSeriesParserMakesOneTextOfManySpellings(t *testing.T) {
	f := func(want string, spellings ...string) {
		t.Helper()
		p := NewSeriesParser(Limits{})
		for _, s := range append(spellings, want) {
			got, err := p.Parse([]byte(s))
			require.NoError(t, err, "%s", s)
			assert.Equal(t, want, string(got.Text), "%s", s)
			assert.Equal(t, "x", string(got.Name))
			assert.False(t, got.Quoted, "%s", s)
		}
	}
	f(`x`, `x{}`, `x{ }`, `x {}`, `x{a=""}`, `{"x"}`, `{ "x" , }`, `x{"a.b"=""}`)
	f(`x{a="1",b="2"}`, `x{b="2",a="1"}`, `x{b="2", a="1",}`, `x { a = "1" , b = "2" }`, `x{a="1",b="2",c=""}`,
		`x{a="1"b="2"}`, `x{a="1" b="2"}`,
		`{"x",a="1",b="2"}`, `{b="2","x",a="1"}`, `x{"a"="1","b"="2"}`)
	f(`x{a="\\ \" \n"}`)
	f(`x{a="\\t"}`, `x{a="\t"}`)
	f(`x{a="a long one \\"}`, `x{a="a long one \\"}`)
	f(`x{a="},{=\""}`)
	f(`x{a="µ"}`)
	f("x{a=\"\t\"}")
	f(`x{a="eight by",b="tes, or a few more",c=" "}`)
}

func TestSeriesParserKeepsQuotesWhereNeeded(t *testing.T) {
	f := func(name, want string, spellings ...string) {
		t.Helper()
		p := NewSeriesParser(Limits{})
		for _, s := range append(spellings, want) {
			got, err := p.Parse([]byte(s))
			require.NoError(t, err, "%s", s)
			assert.Equal(t, want, string(got.Text), "%s", s)
			assert.Equal(t, name, string(got.Name))
			assert.True(t, got.Quoted, "%s", s)
		}
	}
	f("my.metric", `{"my.metric"}`, `{ "my.metric" , }`, `{"my.metric",a=""}`)
	f("my.metric", `{"my.metric",a="b"}`, `{a="b","my.metric"}`, `{"my.metric","a"="b",}`)
	f("größe", `{"größe","a.b"="c"}`, `{"a.b" = "c", "größe"}`)
	f("x", `x{"a:b"="1",c="2"}`, `{"x","a:b"="1",c="2"}`, `x{c="2","a:b"="1"}`)
	f(`a"b\c`, `{"a\"b\\c"}`, `{"a\"b\c"}`)
	f("1st", `{"1st"}`)
	f(" x", `{" x"}`)
}

func TestSeriesParserReturnsTheSpellingThatIsCanonical(t *testing.T) {
	for _, s := range []string{`x`, `x{a="b"}`, `x{a="\\",b="µ"}`, `{"my.metric","a.b"="c"}`} {
		spelling := []byte(s)
		got, err := NewSeriesParser(Limits{}).Parse(spelling)
		require.NoError(t, err)
		assert.Same(t, &spelling[0], &got.Text[0], "%s", s)
	}
}

func TestSeriesParserRefuses(t *testing.T) {
	p := NewSeriesParser(Limits{SeriesBytes: 40, Labels: 3})
	f := func(spelling, want string) {
		t.Helper()
		_, err := p.Parse([]byte(spelling))
		assert.ErrorContains(t, err, want, "%s", spelling)
	}
	f(`x{a="1",a="2"}`, `label "a" is there twice`)
	f(`x{a="1","a"="2"}`, `label "a" is there twice`)
	f(`x{a="1",b="2",a=""}`, `label "a" is there twice`)
	f(`x{1a="1"}`, `"1a=\"1\"}" does not begin with a label name`)
	f(`x{a-b="1"}`, `no = after label name "a"`)
	f(`x{a:b="1"}`, `no = after label name "a"`)
	f(`x{a}`, `no = after label name "a"`)
	f(`x{a=1}`, `the value of label "a" is not in quotes`)
	f(`x{a="1";b="2"}`, `";b=\"2\"}" does not begin with a label name`)
	f(`x{a="1",,b="2"}`, `does not begin with a label name`)
	f(`x{,}`, `does not begin with a label name`)
	f(`x{__name__="y"}`, `reserved`)
	f(`{"x","__name__"="y"}`, `reserved`)
	f("x{a=\"\xff\"}", `value of label "a": it is not UTF-8`)
	f("x{a=\"\x00\"}", `value of label "a": it has a NUL byte`)
	f("{\"\xff\"}", "it is not UTF-8")
	f("{\"a\x00b\"}", "it has a NUL byte")
	f("x{\"\xff\"=\"1\"}", "it is not UTF-8")
	f(`x{""="1"}`, "a label name is empty")
	f(`{""}`, "it has no metric name")
	f(`{}`, "it has no metric name")
	f(`{a="b"}`, "it has no metric name")
	f(`x{"y"}`, `a second metric name "y"`)
	f(`{"x","y"}`, `a second metric name "y"`)
	f(`{"x" a="b"}`, `no = after label name "x"`)
	f(`x{a="1",b="2",c="3",d="4"}`, "more than 3 labels")
	f(`x{a="`+strings.Repeat("y", 50)+`"}`, "has 57 bytes, the limit is 40")
}

func TestSeriesParserNoticesOddBounds(t *testing.T) {
	f := func(spelling string, want bool) {
		t.Helper()
		s, err := parse(spelling)
		require.NoError(t, err)
		assert.Equal(t, want, s.OddBound, spelling)
	}
	f(`x_bucket{le="+Inf"}`, false)
	f(`x_bucket{le="0.5"}`, false)
	f(`x_bucket{le="small"}`, true)
	f(`x_bucket{le=""}`, false)
	f(`x{quantile="0.99"}`, false)
	f(`x{quantile="p99"}`, true)
	f(`x{level="high"}`, false)
}

func TestSeriesParserGroups(t *testing.T) {
	group := func(spelling string) uint64 {
		t.Helper()
		s, err := parse(spelling)
		require.NoError(t, err)
		return s.Group
	}
	together := [][]string{
		{`h_bucket{le="1"}`, `h_bucket{le="+Inf"}`, `h_count`, `h_sum`},
		{`h_bucket{a="b",le="1"}`, `h_bucket{a="b",le="2",z=""}`, `h_count{a="b"}`, `{"h_sum",a="b"}`},
		{`h_bucket{a="b",le="1",z="y"}`, `h_bucket{le="2",z="y",a="b"}`, `h_sum{a="b",z="y"}`},
		{`s{quantile="0.5"}`, `s{quantile="1"}`, `s_sum`, `s_count`},
		{`{"my.h_bucket",le="1"}`, `{"my.h_count"}`},
	}
	for _, alone := range []string{
		`h`, `h{a="b"}`, `s`, `_count`, `_sum`, `x_total`, `h_bucketful{le="1"}`, `{"my.h"}`,
		`h_count{a="c"}`, `h_count{b="a"}`, `h_count{b="a",c="d"}`, `h_count{b="acd"}`,
	} {
		together = append(together, []string{alone})
	}
	seen := map[uint64]int{}
	for i, spellings := range together {
		for _, s := range spellings {
			if first, ok := seen[group(s)]; ok {
				assert.Equal(t, first, i, "%s", s)
			}
			seen[group(s)] = i
			assert.Equal(t, group(spellings[0]), group(s), "%s and %s", spellings[0], s)
		}
	}
	// Groups may be kept and sent, so they must stay what they are.
	assert.Equal(t, xxhash.Sum64String(`x{a="b"}`), group(`x{a="b"}`))
	assert.Equal(t, xxhash.Sum64String("\xffh\xffa\xffb"), group(`h_bucket{le="1",a="b"}`))
}

func TestSeriesParserLabel(t *testing.T) {
	p := NewSeriesParser(Limits{})
	f := func(spelling, name, want string, there bool) {
		t.Helper()
		_, err := p.Parse([]byte(spelling))
		require.NoError(t, err)
		value, ok := p.Label(name)
		assert.Equal(t, there, ok, spelling)
		assert.Equal(t, want, string(value), spelling)
	}
	f(`x{gatewayID="gw-1",a="b"}`, "gatewayID", "gw-1", true)
	f(`x{gatewayID="a \"b\" \\ \n"}`, "gatewayID", "a \"b\" \\ \n", true)
	f(`x{gatewayID="a\tb",b="\n"}`, "gatewayID", `a\tb`, true)
	f(`x{"gateway.id"="gw-1"}`, "gateway.id", "gw-1", true)
	f(`x{gatewayID=""}`, "gatewayID", "", false)
	f(`x{a="gatewayID"}`, "gatewayID", "", false)
	f(`x`, "gatewayID", "", false)
}

var (
	referenceName   = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*`)
	referenceItem   = regexp.MustCompile(`^[ \t]*(?:([a-zA-Z_][a-zA-Z0-9_]*)|"((?:\\.|[^"\\])*)")[ \t]*(=[ \t]*"((?:\\.|[^"\\])*)"[ \t]*)?`)
	referenceEscape = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n")
)

// referenceParse is a parser that is simple and slow. It returns the labels with
// the metric name among them.
func referenceParse(s string) (map[string]string, error) {
	labels := map[string]string{}
	add := func(name, value string) error {
		if _, ok := labels[name]; ok || name == "" || strings.Contains(name+value, "\x00") || !utf8.ValidString(name+value) {
			return errors.New("invalid label")
		}
		labels[name] = value
		return nil
	}
	if name := referenceName.FindString(s); name != "" {
		labels["__name__"] = name
		s = s[len(name):]
	}
	s, braced := strings.CutPrefix(strings.TrimLeft(s, " \t"), "{")
	for braced {
		if s = strings.TrimLeft(s, " \t"); strings.HasPrefix(s, "}") {
			break
		}
		m := referenceItem.FindStringSubmatch(s)
		if m == nil {
			return nil, errors.New("invalid item")
		}
		s = s[len(m[0]):]
		name, value := referenceEscape.Replace(m[1]+m[2]), referenceEscape.Replace(m[4])
		if m[3] == "" {
			if m[1] != "" || name == "" {
				return nil, errors.New("no value")
			}
			name, value = "__name__", name
		} else if name == "__name__" {
			return nil, errors.New("reserved")
		}
		if err := add(name, value); err != nil {
			return nil, err
		}
		if m[3] == "" && !strings.HasPrefix(s, ",") && !strings.HasPrefix(s, "}") {
			return nil, errors.New("no comma")
		}
		s = strings.TrimPrefix(s, ",")
	}
	if braced != (s == "}") || !braced && s != "" || labels["__name__"] == "" {
		return nil, errors.New("invalid series")
	}
	maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
	return labels, nil
}

// referenceText writes labels, the metric name among them, as canonical text.
func referenceText(labels map[string]string) (text string, quoted bool) {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
	}
	var items []string
	name := labels["__name__"]
	if !ValidMetricName(name) {
		items, quoted, name = append(items, quote(name)), true, ""
	}
	for _, l := range slices.Sorted(maps.Keys(labels)) {
		switch value := quote(labels[l]); {
		case l == "__name__":
		case ValidLabelName(l):
			items = append(items, l+"="+value)
		default:
			items, quoted = append(items, quote(l)+"="+value), true
		}
	}
	if len(items) == 0 {
		return name, false
	}
	return name + "{" + strings.Join(items, ",") + "}", quoted
}

// sameAsReference fails unless the parser and the reference agree on a spelling,
// and on what becomes of it.
func sameAsReference(t require.TestingT, p *SeriesParser, spelling string) {
	labels, wantErr := referenceParse(spelling)
	got, err := p.Parse([]byte(spelling))
	require.Equal(t, wantErr == nil, err == nil, "%q: %v, %v", spelling, wantErr, err)
	if err != nil {
		return
	}
	text, quoted := referenceText(labels)
	require.Equal(t, text, string(got.Text), "%q", spelling)
	require.Equal(t, quoted, got.Quoted, "%q", spelling)
	require.Equal(t, labels["__name__"], string(got.Name), "%q", spelling)
	for name, value := range labels {
		if name != "__name__" {
			found, ok := p.Label(name)
			require.True(t, ok, "%q: %s", spelling, name)
			require.Equal(t, value, string(found), "%q", spelling)
		}
	}
	got.Name, got.Text = bytes.Clone(got.Name), bytes.Clone(got.Text)
	again, err := p.Parse(got.Text)
	require.NoError(t, err)
	require.Equal(t, got, again, "%q", spelling)
}

func FuzzSeriesParser(f *testing.F) {
	for _, s := range []string{
		`x`, `x{a="b"}`, `x {b="\n",a="\\\"",}`, `x{a="\t",le="y"}`, `x{a=""}`, `{"a.b"}`, `{a="1", "x.y" ,"b.c"="2"}`, "x{a=\"\xff\"}",
		`x_bucket{gatewayID="gw-0017",le="0.5"}`,
	} {
		f.Add(s)
	}
	p := NewSeriesParser(Limits{})
	f.Fuzz(func(t *testing.T, spelling string) {
		if !strings.Contains(spelling, "\n") { // a scanner returns parts of lines
			sameAsReference(t, p, spelling)
		}
	})
}

// However a set of labels is spelled, one text and one group come of it.
func TestPropertySeriesParserIsTheReference(t *testing.T) {
	p := NewSeriesParser(Limits{})
	name := rapid.StringMatching(`[a-c_]{1,2}(\.[a-c])?(_bucket|_count)?`)
	value := rapid.StringMatching(`([a-z0-9-]{0,12}|[a-z"\\{},=µ ]{0,10})`)
	blank := rapid.SampledFrom([]string{"", "", "", " ", "\t "})
	rapid.Check(t, func(t *rapid.T) {
		labels := rapid.MapOfN(name, value, 0, 5).Draw(t, "labels")
		metric := name.Draw(t, "metric")
		var items []string
		for _, l := range rapid.Permutation(slices.Collect(maps.Keys(labels))).Draw(t, "order") {
			key := l
			if !ValidLabelName(l) || rapid.Bool().Draw(t, "quoted label") {
				key = string(appendQuoted(nil, l))
			}
			items = append(items, key+blank.Draw(t, "blank")+"="+blank.Draw(t, "blank")+string(appendQuoted(nil, labels[l])))
		}
		spelling := metric + blank.Draw(t, "blank")
		if !ValidMetricName(metric) || rapid.Bool().Draw(t, "quoted metric") {
			items = slices.Insert(items, rapid.IntRange(0, len(items)).Draw(t, "place"), string(appendQuoted(nil, metric)))
			spelling = ""
		}
		spelling += "{" + strings.Join(items, blank.Draw(t, "blank")+","+blank.Draw(t, "blank")) + blank.Draw(t, "blank") + "}"
		sameAsReference(t, p, spelling)

		labels["__name__"] = metric
		maps.DeleteFunc(labels, func(_, value string) bool { return value == "" })
		want, _ := referenceText(labels)
		got, err := p.Parse([]byte(spelling))
		require.NoError(t, err)
		require.Equal(t, want, string(got.Text))
	})
}

// go test ./internal/exposition -run '^$' -bench SeriesParser
func BenchmarkSeriesParser(b *testing.B) {
	for _, bench := range []struct{ name, spelling string }{
		{"canonical", `magma_metric_name{gatewayID="gw-0017",networkID="net1",service="x"}`},
		{"canonical-100", `magma_metric_name_of_a_gateway_total{gatewayID="gw-0017-0042",networkID="network1",service="sessiond"}`},
		{"bucket", `magma_request_seconds_bucket{gatewayID="gw-0017",le="0.25",networkID="net1",service="x"}`},
		{"unsorted", `magma_metric_name{service="x",networkID="net1",gatewayID="gw-0017"}`},
		{"escapes", `magma_metric_name{gatewayID="gw-0017",networkID="net1",service="a\\b\n"}`},
		{"name-alone", `magma_metric_name`},
		{"quoted", `{"magma.metric.name",gatewayID="gw-0017","network.id"="net1",service="x"}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p := NewSeriesParser(DefaultLimits)
			spelling := []byte(bench.spelling)
			b.SetBytes(int64(len(spelling)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Parse(spelling); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleSeriesParser() {
	p := NewSeriesParser(DefaultLimits)
	s, err := p.Parse([]byte(`rpc{zone="eu", code="200", proxy=""}`))
	fmt.Println(string(s.Text), err)
	// Output: rpc{code="200",zone="eu"} <nil>
}
