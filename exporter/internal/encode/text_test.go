package encode

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// byKey is what the bodies of a text are as requests, by key.
func byKey(t testing.TB, e *Texts) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, b := range e.Bodies {
		text := string(new(wire.Joiner).Join(nil, []*wire.Body{b}))
		assert.Len(t, sampleLines(text), b.Samples)
		got[b.Key] += text
	}
	return got
}

func textOf(t testing.TB, asGauges bool, text string) map[string]string {
	t.Helper()
	e := NewTexts(time.UnixMilli(7000), asGauges)
	defer e.Release()
	require.NoError(t, e.Encode("gatewayID", []byte(text)))
	return byKey(t, e)
}

// Samples go to those of their gateway, families together, whatever the order they come in.
func TestTextByGateway(t *testing.T) {
	for range 2 { // the second time with scratch that was used
		assert.Equal(t, map[string]string{
			"a": "# HELP c Rows.\n# TYPE c counter\nc{gatewayID=\"a\"} 1 5\nc{gatewayID=\"a\",x=\"y\"} 2 7000\n" +
				"# TYPE h histogram\nh_bucket{gatewayID=\"a\",le=\"+Inf\"} 3 7000\nh_sum{gatewayID=\"a\"} 3 7000\nh_count{gatewayID=\"a\"} 3 7000\n",
			"b": "# HELP c Rows.\n# TYPE c counter\nc{gatewayID=\"b\"} 4 7000\nh_other{gatewayID=\"b\"} NaN 7000\n",
			"":  "{\"of.nobody\"} 5 7000\n",
		}, textOf(t, false, `
# HELP c Rows.
# TYPE c counter
# TYPE h histogram
c{gatewayID="a"} 1 5
c{gatewayID="b"} 4
h_other{gatewayID="b"} NaN
h_bucket{le="+Inf",gatewayID="a"} 3
{"of.nobody"} 5
h_sum{gatewayID="a"} 3
c{x="y",gatewayID="a"} 2
h_count{gatewayID="a"} 3
`))
	}
	assert.Equal(t, map[string]string{"": "# TYPE s gauge\ns{quantile=\"0.5\"} 2 7000\n# TYPE s_count gauge\ns_count 1 7000\n"},
		textOf(t, true, "# TYPE s summary\ns_count 1\ns{quantile=\"0.5\"} 2\n"))
}

func TestTextWithFaults(t *testing.T) {
	for text, want := range map[string]string{
		"x 1\nx{ 1\n":                          "line 2",
		"x 1 1700000000\n":                     "times are in milliseconds, this one looks like seconds",
		"x one\n":                              "line 1",
		"# TYPE x counter\n# TYPE x gauge\n":   "line 2: \"x\" is a counter and a gauge",
		strings.Repeat("x", 9000) + " 1\n":     "the limit is 8192",
		"x{gatewayID=\"a\",gatewayID=\"b\"} 1": "line 1",
	} {
		e := NewTexts(time.Now(), false)
		require.ErrorContains(t, e.Encode("gatewayID", []byte(text)), want)
		assert.Empty(t, e.Bodies)
		e.Release()
	}
}

// Labels that the controller sets on all are on each series that has none of the name.
func TestTextGetsLabels(t *testing.T) {
	labels, err := NewLabels(map[string]string{"cluster": "one", "region": "x\"y"})
	require.NoError(t, err)
	e := NewTexts(time.UnixMilli(7000), false)
	defer e.Release()
	e.Labels = labels
	require.NoError(t, e.Encode("gatewayID", []byte("x 1\nx{cluster=\"own\"} 2\nx{cluster=\"\",gatewayID=\"a\"} 3\n")))
	assert.Equal(t, map[string]string{
		"":  "x{cluster=\"one\",region=\"x\\\"y\"} 1 7000\nx{cluster=\"own\",region=\"x\\\"y\"} 2 7000\n",
		"a": "x{gatewayID=\"a\",cluster=\"one\",region=\"x\\\"y\"} 3 7000\n",
	}, byKey(t, e))
	require.ErrorContains(t, e.Encode("gatewayID", []byte(strings.Repeat("x", 8190)+" 1\n")), "with the labels that are set on all")
}

// What is large is cut, but no histogram is, and names that disagree are in bodies of their own.
func TestTextIsCut(t *testing.T) {
	var text strings.Builder
	text.WriteString("# TYPE h histogram\n")
	for i := range 10_000 {
		fmt.Fprintf(&text, "h_bucket{series=\"%06d\",le=\"1\"} 1\nh_bucket{series=\"%06d\",le=\"+Inf\"} 1\nh_sum{series=\"%06d\"} 1\nh_count{series=\"%06d\"} 1\n", i, i, i, i)
	}
	e := NewTexts(time.Now(), false)
	defer e.Release()
	require.NoError(t, e.Encode("gatewayID", []byte(text.String())))
	require.Greater(t, len(e.Bodies), 1)
	samples := 0
	for _, b := range e.Bodies {
		assert.Zero(t, b.Samples%4)
		assert.True(t, b.Composite)
		assert.LessOrEqual(t, len(b.Text), bodyBytes+1000)
		samples += b.Samples
	}
	assert.Equal(t, 40_000, samples)

	late := NewTexts(time.UnixMilli(7000), false)
	defer late.Release()
	require.NoError(t, late.Encode("gatewayID", []byte("h_count 1\n# TYPE h histogram\nh_sum 2\n")))
	assert.Len(t, late.Bodies, 2)
}

// Bodies of gateways that report the same families share their shape.
func TestTextsShareShapes(t *testing.T) {
	var text strings.Builder
	for i := range 5 {
		fmt.Fprintf(&text, "x{gatewayID=\"%d\"} 1\ny{gatewayID=\"%d\"} 1\n", i, i)
	}
	e := NewTexts(time.Now(), false)
	defer e.Release()
	require.NoError(t, e.Encode("gatewayID", []byte(text.String())))
	require.Len(t, e.Bodies, 5)
	shapes := map[*wire.Shape]bool{}
	for _, b := range e.Bodies {
		shapes[b.Shape] = true
	}
	assert.Len(t, shapes, 1)
	assert.Len(t, maps.Collect(maps.All(byKey(t, e))), 5)
}

func FuzzText(f *testing.F) {
	f.Add("# HELP c Rows.\n# TYPE c counter\nc{gatewayID=\"a\"} 1 5\n{\"a.b\",gatewayID=\"a\"} 2\n", false)
	f.Add("# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_count 1\n# TYPE \"h.x\" gauge\n", true)
	f.Fuzz(func(t *testing.T, text string, asGauges bool) {
		e := NewTexts(time.UnixMilli(7000), asGauges)
		defer e.Release()
		if e.Encode("gatewayID", []byte(text)) != nil {
			return
		}
		again := NewTexts(time.UnixMilli(8000), asGauges)
		defer again.Release()
		samples := 0
		for _, b := range e.Bodies {
			samples += b.Samples
			require.NoError(t, again.Encode("gatewayID", new(wire.Joiner).Join(nil, []*wire.Body{b})), "what is written can be read")
			clear(again.families)
			clear(again.homes)
			again.lines = again.lines[:0]
		}
		read := 0
		for _, b := range again.Bodies {
			read += b.Samples
		}
		require.Equal(t, samples, read)
	})
}

func BenchmarkText(b *testing.B) {
	var text strings.Builder
	for f := range 10 {
		fmt.Fprintf(&text, "# TYPE metric_%d_total counter\n", f)
		for g := range 30 {
			fmt.Fprintf(&text, "metric_%d_total{gatewayID=\"gw%d\",networkID=\"one\",service=\"mme\"} %d 1700000000000\n", f, g, f*g)
		}
	}
	body := []byte(text.String())
	b.ReportAllocs()
	for b.Loop() {
		e := NewTexts(time.Now(), false)
		if err := e.Encode("gatewayID", body); err != nil {
			b.Fatal(err)
		}
		for _, body := range e.Bodies {
			body.Release()
		}
		e.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/300, "ns/sample")
}
