package text

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/decodetest"
)

func read(body string) (string, error) {
	var r decodetest.Recorder
	err := Read([]byte(body), &r)
	return strings.Join(r.Lines, "\n"), err
}

func TestRead(t *testing.T) {
	got, err := read("# HELP x a\\nb \\\\\n# TYPE x counter\n\n# else\nx{b=\"1\",a=\"\\n\"} 1.5 1700000000123\nx NaN\n# TYPE \"x.y\" stateset\n{\"x.y\"} +Inf -5")
	require.NoError(t, err)
	assert.Equal(t, strings.Join([]string{
		`# HELP x "a\nb \\"`, "# TYPE x counter", `x{a="\n",b="1"} 1.5 1700000000123`, "x NaN", "# TYPE x.y untyped", `{"x.y"} +Inf -5`,
	}, "\n"), got)
}

func TestWhatIsWrong(t *testing.T) {
	for body, want := range map[string]string{
		"x 1\nx{a=\"b\"\n":                "line 2: the labels have no closing brace",
		"x 1\n\nx{a=\"b\",a=\"c\"} 1\n":   `line 3: series "x{a=\"b\",a=\"c\"}": label "a" is there twice`,
		"x one\n":                         `line 1: value "one" of series "x" is not a number`,
		"# HELP x \xff\n":                 "line 1: HELP line of x: it is not UTF-8",
		"x 1\n" + `x{__name__="y"} 1`:     "line 2: series",
		"x 1 1.5\n":                       `line 1: timestamp "1.5"`,
		"# TYPE x gauge\n# TYPE \"\" x\n": "line 2: TYPE line",
	} {
		_, err := read(body)
		require.ErrorContains(t, err, want)
	}
	broken := (*decode.BrokenError)(nil)
	require.ErrorAs(t, Read([]byte("x 1\nx 2\n"), &decodetest.Recorder{Most: 1}), &broken)
}

// Whatever a body is, it is read or an error names a line.
func FuzzRead(f *testing.F) {
	f.Add("# HELP x a\n# TYPE x counter\nx{a=\"b\"} 1 5\n")
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

// What a sample takes to be read, with the known series of a hub not known here.
//
//	go test ./internal/decode/text -run '^$' -bench Read
func BenchmarkRead(b *testing.B) {
	var body strings.Builder
	body.WriteString("# HELP gateway_metric What.\n# TYPE gateway_metric gauge\n")
	for range 1000 {
		body.WriteString("gateway_metric{gatewayID=\"gw0001\",networkID=\"net1\",service=\"mme\"} 12345.5 1764500000000\n")
	}
	var c decodetest.Counter
	b.ReportAllocs()
	text := []byte(body.String())
	for b.Loop() {
		if err := Read(text, &c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(c.Samples), "ns/sample")
}
