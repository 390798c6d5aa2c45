package exposition

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var escapings = []Escaping{Values, AllowUTF8, Underscores, Dots}

func TestEscapingAppendName(t *testing.T) {
	f := func(name, utf8, values, underscores, dots string) {
		t.Helper()
		for e, want := range map[Escaping]string{AllowUTF8: utf8, Values: values, Underscores: underscores, Dots: dots} {
			assert.Equal(t, "# "+want, string(e.AppendName([]byte("# "), name)), "%s", e)
		}
		assert.Equal(t, utf8, string(AppendName(nil, name)))
		assert.Equal(t, values, string(Values.AppendName(nil, name)))
	}
	f("up", "up", "up", "up", "up")
	f("job:up_time:sum", "job:up_time:sum", "job:up_time:sum", "job:up_time:sum", "job:up_time:sum")
	f("my.own_metric", `"my.own_metric"`, "U__my_2e_own__metric", "my_own_metric", "my_dot_own__metric")
	f("job:a.b", `"job:a.b"`, "U__job:a_2e_b", "job:a_b", "job:a_dot_b")
	f("1up", `"1up"`, "U___31_up", "_up", "__up")
	f("größe", `"größe"`, "U__gr_f6__df_e", "gr__e", "gr____e")
	f("say \"x\"\n\\", `"say \"x\"\n\\"`, "U__say_20__22_x_22__a__5c_", "say__x___", "say____x______")
}

func TestEscapingAppendLabelName(t *testing.T) {
	f := func(name, utf8, values, underscores, dots string) {
		t.Helper()
		for e, want := range map[Escaping]string{AllowUTF8: utf8, Values: values, Underscores: underscores, Dots: dots} {
			assert.Equal(t, "{"+want, string(e.AppendLabelName([]byte("{"), name)), "%s", e)
		}
		assert.Equal(t, utf8, string(AppendLabelName(nil, name)))
		assert.Equal(t, values, string(Values.AppendLabelName(nil, name)))
	}
	f("gatewayID", "gatewayID", "gatewayID", "gatewayID", "gatewayID")
	f("gateway_id", "gateway_id", "gateway_id", "gateway_id", "gateway_id")
	f("gateway.id", `"gateway.id"`, "U__gateway_2e_id", "gateway_id", "gateway_dot_id")
	f("a_b:c", `"a_b:c"`, "U__a__b_3a_c", "a_b_c", "a__b__c")
	f(`a:"b"`, `"a:\"b\""`, "U__a_3a__22_b_22_", "a__b_", "a____b__")
}

func TestEscapingAppendSeries(t *testing.T) {
	f := func(text, values, underscores, dots string) {
		t.Helper()
		for e, want := range map[Escaping]string{AllowUTF8: text, Values: values, Underscores: underscores, Dots: dots} {
			assert.Equal(t, "# "+want, string(e.AppendSeries([]byte("# "), []byte(text))), "%s", e)
		}
		assert.Equal(t, values, string(Values.AppendSeries(nil, []byte(text))))
	}
	same := func(text string) { t.Helper(); f(text, text, text, text) }
	same(`x_y`)
	same(`x_y{a_b="c.d"}`)
	same(`x{a="{\"b\",\"c\"}"}`)
	same(`x{a="b,",c="{"}`) // looks as if names were quoted
	same(`not a series`)
	same(`{"not a series"`)
	f(`{"my.metric"}`, `U__my_2e_metric`, `my_metric`, `my_dot_metric`)
	f(`{"my.metric",a_b="c"}`, `U__my_2e_metric{a_b="c"}`, `my_metric{a_b="c"}`, `my_dot_metric{a_b="c"}`)
	f(`{"my_metric.größe","a.b"="c \"d\"",e="f"}`, `U__my__metric_2e_gr_f6__df_e{U__a_2e_b="c \"d\"",e="f"}`,
		`my_metric_gr__e{a_b="c \"d\"",e="f"}`, `my__metric_dot_gr____e{a_dot_b="c \"d\"",e="f"}`)
	f(`x{a="b","c.d"="e"}`, `x{a="b",U__c_2e_d="e"}`, `x{a="b",c_d="e"}`, `x{a="b",c_dot_d="e"}`)
	f(`x{"a:b"="c"}`, `x{U__a_3a_b="c"}`, `x{a_b="c"}`, `x{a__b="c"}`)
	f(`x{"1"="2"}`, `x{U___31_="2"}`, `x{_="2"}`, `x{__="2"}`)
}

// Two labels never become one, and none becomes the metric's name.
func TestEscapingKeepsLabelsApart(t *testing.T) {
	f := func(e Escaping, text, want string) {
		t.Helper()
		assert.Equal(t, want, string(e.AppendSeries(nil, []byte(text))), "%s", e)
	}
	f(Values, `x{U__a_2e_b="1","a.b"="2"}`, `x{U__a_2e_b="1",U__a_2e_b_="2"}`)
	f(Values, `x{U__a_2e_b="1",U__a_2e_b_="2","a.b"="3"}`, `x{U__a_2e_b="1",U__a_2e_b_="2",U__a_2e_b__="3"}`)
	f(Underscores, `x{"a-b"="1","a.b"="2",a_b="3",a_b_="4"}`, `x{a_b__="1",a_b___="2",a_b="3",a_b_="4"}`)
	f(Underscores, `x{"..name.."="1"}`, `x{__name___="1"}`)
	f(Underscores, `x{"..name.."="1",__name___="2"}`, `x{__name____="1",__name___="2"}`)
	f(Dots, `x{"a.b"="1",a_dot_b="2"}`, `x{a_dot_b_="1",a_dot_b="2"}`)
	f(Dots, `x{":name:"="1"}`, `x{__name___="1"}`)
}

// Names are escaped as Prometheus' own library does.
func TestPropertyNamesAreEscapedAsPrometheusDoes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[a-z_:.0-9µ€😀 ]{1,8}`).Draw(t, "name")
		for e, scheme := range map[Escaping]model.EscapingScheme{
			Values: model.ValueEncodingEscaping, Underscores: model.UnderscoreEscaping, Dots: model.DotsEscaping,
		} {
			want := model.EscapeName(name, scheme)
			if ValidMetricName(name) {
				want = name // as where it escapes a family
			}
			got := string(e.AppendName(nil, name))
			require.Equal(t, want, got)
			require.True(t, ValidMetricName(got), "%s", got)
			label := string(e.AppendLabelName(nil, name))
			require.True(t, ValidLabelName(label), "%s", label)
			if !strings.Contains(name, ":") {
				require.Equal(t, want, label)
			}
		}
		label := string(Values.AppendLabelName(nil, name))
		require.Equal(t, name, model.UnescapeName(label, model.ValueEncodingEscaping))
	})
}

// What is appended is a series with the same values and, unless it is to have others,
// with classic names; a classic text stays as it is.
func FuzzEscaping(f *testing.F) {
	for _, s := range []string{
		`x_y{a_b="c"}`, `{"a.b"}`, `{"a_b.c","d.e"="f",g="h"}`, `x{"a.b"="1",a_b="2",a_dot_b="3",U__a_2e_b="4"}`,
		`x{"..name.."="1",":name:"="2"}`, `{"1","2"="\"","µ"="{,"}`, `x{a="{",b=","}`, "{\"a\\n\\\"\\\\\",\"\x7f\"=\"b\"}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spelling string) {
		original := NewSeriesParser(Limits{})
		series, err := original.Parse([]byte(spelling))
		if err != nil {
			for _, e := range escapings {
				require.Equal(t, spelling, string(e.AppendSeries(nil, []byte(spelling))))
			}
			return
		}
		text := string(series.Text)
		for _, e := range escapings {
			out := e.AppendSeries(nil, []byte(text))
			if e == AllowUTF8 || !series.Quoted {
				require.Equal(t, text, string(out), "%s", e)
				continue
			}
			p := NewSeriesParser(Limits{})
			got, err := p.Parse(out)
			require.NoError(t, err, "%s", e)
			require.False(t, got.Quoted, "%s: %s", e, out)
			require.Equal(t, string(e.AppendName(nil, string(series.Name))), string(got.Name))
			require.Equal(t, valuesOf(original), valuesOf(p), "%s: %s", e, out)
			for _, l := range original.labels {
				if ValidLabelName(string(l.name)) {
					value, _ := p.Label(string(l.name))
					require.Equal(t, string(l.value), string(value), "%s: %s", e, l.name)
				}
			}
		}
	})
}

// valuesOf returns the labels' values of the series that was parsed last, sorted.
func valuesOf(p *SeriesParser) []string {
	var values []string
	for _, l := range p.labels {
		values = append(values, string(l.value))
	}
	slices.Sort(values)
	return values
}

// A classic text costs no allocation.
//
//	go test ./internal/exposition -run '^$' -bench Escaping
func BenchmarkEscaping(b *testing.B) {
	for _, bench := range []struct{ name, text string }{
		{"classic", `magma_metric_name{gatewayID="gw-0017",networkID="net1",service="x"}`},
		{"quoted", `{"magma.metric.name",gatewayID="gw-0017","network.id"="net1",service="x"}`},
	} {
		for _, e := range escapings {
			b.Run(bench.name+"/"+e.String(), func(b *testing.B) {
				text, buf := []byte(bench.text), make([]byte, 0, 256)
				b.SetBytes(int64(len(text)))
				b.ReportAllocs()
				for b.Loop() {
					buf = e.AppendSeries(buf[:0], text)
				}
			})
		}
	}
}
