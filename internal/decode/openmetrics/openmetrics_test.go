package openmetrics

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/decodetest"
)

func read(body string) (string, error) {
	var r decodetest.Recorder
	err := Read([]byte(body), false, &r)
	return strings.Join(r.Lines, "\n"), err
}

func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"nothing": {"", nil},
		"counter": {
			"# HELP x What \\\"it\\\" is.\\n\n# TYPE x counter\nx_total{a=\"b\"} 1.0 1700000000.123 # {trace_id=\"a\\\"b\",\"x.y\"=\"é\"} 0.5 1700000000.999\nx_created{a=\"b\"} 1.6e9\nx_total 2\n# EOF\n",
			[]string{
				"# TYPE x_total counter", `# HELP x_total "What \"it\" is.\n"`, `x_total{a="b"} 1 1700000000123`, "  start 1600000000000",
				`  exemplar {"label":[{"name":"trace_id","value":"a\"b"},{"name":"x.y","value":"é"}],"value":0.5,"timestamp":"2023-11-14T22:13:20.999Z"}`, `x_total 2`,
			},
		},
		"a family called like its series": {"# TYPE x_total counter\nx_total 1\n", []string{"# TYPE x_total counter", "x_total 1"}},
		"types": {
			"# TYPE a gauge\na 1\n# TYPE b unknown\nb 1\n# TYPE c info\nc_info{v=\"1\"} 1\n# TYPE d stateset\nd{d=\"on\"} 1\n# TYPE e gaugehistogram\ne_bucket{le=\"+Inf\"} 1\ne_gcount 1\ne_gsum 2\n# TYPE f what\nf 1\n# TYPE g Summary \ng{quantile=\"1.0\"} 1\n",
			[]string{
				"# TYPE a gauge", "a 1", "# TYPE b untyped", "b 1", "# TYPE c_info gauge", `c_info{v="1"} 1`, "# TYPE d gauge", `d{d="on"} 1`,
				"# TYPE e gauge", `e_bucket{le="+Inf"} 1`, "e_gcount 1", "e_gsum 2", "# TYPE f untyped", "f 1", "# TYPE g summary", `g{quantile="1.0"} 1`,
			},
		},
		"histogram": {
			"# TYPE h histogram\n# UNIT h \nh_bucket{a=\"b\",le=\"1.0\"} 1 # {} 0.5\nh_bucket{a=\"b\",le=\"+Inf\"} 2 # {a=\"b\",} 5 -1.5\nh_sum{a=\"b\"} 3\nh_count{a=\"b\"} 2\nh_created{a=\"b\"} 1.0015\n",
			[]string{
				"# TYPE h histogram", `h_bucket{a="b",le="1.0"} 1`, `  exemplar {"value":0.5}`, `h_bucket{a="b",le="+Inf"} 2`,
				`  exemplar {"label":[{"name":"a","value":"b"}],"value":5,"timestamp":"1969-12-31T23:59:58.500Z"}`, `h_sum{a="b"} 3`, `h_count{a="b"} 2`, "  start 1002",
			},
		},
		"starts that are not right behind": {
			"# TYPE h summary\nh_count{a=\"b\"} 2\nh_sum{a=\"b\"} 3\nh_created{a=\"b\"} 1\nh_count{a=\"c\"} 2\nh_created{a=\"b\"} 1\nh_count 1\nh_created NaN\n# TYPE g gauge\ng_count 1\ng_created 1\nh_count 1\n# a\nh_created 1\nh_count 1\nx_created 1\n",
			[]string{
				"# TYPE h summary", `h_count{a="b"} 2`, `h_sum{a="b"} 3`, `h_created{a="b"} 1`, `h_count{a="c"} 2`, `h_created{a="b"} 1`, "h_count 1", "h_created NaN",
				"# TYPE g gauge", "g_count 1", "g_created 1", "h_count 1", "h_created 1", "h_count 1", "x_created 1",
			},
		},
		"names that are not classic": {
			"# HELP \"x.\\\"y\" A.\n# TYPE \"x.\\\"y\" counter\n{\"x.\\\"y_total\",\"a.b\"=\"c\"} 1\n",
			[]string{`# TYPE x."y_total counter`, `# HELP x."y_total "A."`, `{"x.\"y_total","a.b"="c"} 1`},
		},
		"unit":                    {"# TYPE x_seconds gauge\n# UNIT x_seconds seconds\nx_seconds 1\n", []string{"# TYPE x_seconds gauge", "x_seconds 1"}},
		"values and times":        {"x NaN\nx +Inf 0\nx -1e3 -1.5\nx 5 1700000000\nx 5 1.7e9\nx 5 1700000000.0004\n", []string{"x NaN", "x +Inf 0", "x -1000 -1500", "x 5 1700000000000", "x 5 1700000000000", "x 5 1700000000000"}},
		"no last line's end":      {"x 1", []string{"x 1"}},
		"ended without one":       {"x 1\n# EOF", []string{"x 1"}},
		"what is passed over":     {"\n# a comment\n#EOF\n#\nx 1\r\n# \n\r\n# TYPE\n", []string{"x 1"}},
		"families without series": {"# TYPE a gauge\n# HELP b B.\nc 1\n", []string{"# HELP b \"B.\"", "c 1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := read(c.body)
			require.NoError(t, err)
			assert.Equal(t, strings.Join(c.want, "\n"), got)
		})
	}
}

func TestWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		"x 1\n\nx{a=\"b\"\n":             "line 3: the labels have no closing brace",
		"x\n":                            `line 1: series "x" has no value`,
		"x one\n":                        `line 1: value "one" of series "x" is not a number`,
		"x 1\n1x 1\n":                    `line 2: "1x 1" does not begin with a metric name`,
		"x 1 soon\n":                     `line 1: timestamp "soon" of series "x" is not a time in seconds`,
		"x 1 NaN\n":                      `timestamp "NaN"`,
		"x 1 1e300\n":                    `timestamp "1e300"`,
		"x 1 2 3\n":                      `line 1: series "x": "3" follows`,
		"x{a=\"b\",a=\"c\"} 1\n":         `line 1: series "x{a=\"b\",a=\"c\"}": label "a" is there twice`,
		"x 1 # 5\n":                      `line 1: exemplar of series "x": it has no labels`,
		"x 1 #{} 5\n":                    `"#{}" follows`,
		"x 1 # {a} 5\n":                  `"a} 5" does not begin with a label name`,
		"x 1 # {a=b} 5\n":                `value of label "a": "b} 5" is not in quotes`,
		"x 1 # {a=\"b} 5\n":              `is not in quotes`,
		"x 1 # {a=\"\xff\"} 5\n":         `it is not UTF-8`,
		"x 1 # {a=\"b\" 5\n":             `its labels have no closing brace`,
		"x 1 # {} \n":                    `its value "" is not a number`,
		"x 1 # {} 1 x\n":                 `its timestamp "x" is not a time`,
		"x 1 # {} 1 1 1\n":               `"1" follows its timestamp`,
		"# UNIT x seconds\nx 1\n":        `line 1: the unit "seconds" is not the end of the name "x"`,
		"# UNIT xseconds seconds\n":      `line 1: the unit`,
		"# TYPE 1x gauge\n":              `line 1: TYPE line: "1x" is not a metric name`,
		"# TYPE \"\" gauge\n":            `line 1: TYPE line: "\"\" gauge" is not a metric name`,
		"# HELP x \xff\nx 1\n":           `line 1: HELP line of "x": it is not UTF-8`,
		"x 1\n# EOF\nx 2\n":              "line 3: something follows # EOF",
		"x 1\n# EOF\n\n":                 "line 3: something follows # EOF",
		"# TYPE x gauge\nx 1\n\"\"\nx 2": "line 3:",
	} {
		_, err := read(body)
		require.ErrorContains(t, err, want, body)
	}
	broken := (*decode.BrokenError)(nil)
	require.ErrorAs(t, Read([]byte("x 1\nx 2\n"), false, &decodetest.Recorder{Most: 1}), &broken)
}

func TestWholeBodies(t *testing.T) {
	for body, whole := range map[string]bool{"x 1\n# EOF\n": true, "x 1\n# EOF": true, "x 1\n": false, "": false, "x 1\n# EO": false} {
		err := Read([]byte(body), true, &decodetest.Recorder{})
		require.Equal(t, whole, err == nil, body)
		require.NoError(t, Read([]byte(body), false, &decodetest.Recorder{}), body)
	}
}

// Whatever a body is, it is read or an error names a line.
func FuzzRead(f *testing.F) {
	f.Add("# HELP x a\n# TYPE x counter\n# UNIT x \nx_total{a=\"b\"} 1 5.5 # {a=\"b\"} 1 2\nx_created{a=\"b\"} 5\n# EOF\n")
	f.Add("{\"x.y\",a=\"\\n\"} NaN\n")
	f.Fuzz(func(t *testing.T, body string) {
		got, err := read(body)
		again, _ := read(body)
		require.Equal(t, got, again)
		if err != nil {
			require.Regexp(t, "^line [0-9]+: ", err.Error())
		}
	})
}

// No sample allocates.
func TestAllocations(t *testing.T) {
	body := []byte(fleet())
	var c decodetest.Counter
	assert.Less(t, testing.AllocsPerRun(10, func() { require.NoError(t, Read(body, false, &c)) }), 10.0)
}

func fleet() string {
	var b strings.Builder
	b.WriteString("# HELP gateway_metric What.\n# TYPE gateway_metric gauge\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "gateway_metric{gatewayID=\"gw%04d\",networkID=\"net1\",service=\"mme\"} 12345.5 1764500000.000\n", i)
	}
	return b.String()
}

// What a sample takes to be read.
//
//	go test ./internal/decode/openmetrics -run '^$' -bench Read
func BenchmarkRead(b *testing.B) {
	body := []byte(fleet())
	var c decodetest.Counter
	b.ReportAllocs()
	for b.Loop() {
		if err := Read(body, false, &c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(c.Samples), "ns/sample")
}
