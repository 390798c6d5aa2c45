package lines

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/decode"
)

// What a family is may be said in another push than its samples.
func TestTypesAreRemembered(t *testing.T) {
	var types Types
	before := NewWriter(&types, 10)
	require.NoError(t, before.Sample([]byte("c"), decode.NoTime, 1))
	assert.Equal(t, "c 1\n", string(before.Text()))
	require.NoError(t, before.Type([]byte("c"), []byte("counter")))
	require.NoError(t, before.Type([]byte("h"), []byte("histogram")))
	require.NoError(t, before.Help([]byte("h"), []byte("How\nlong.")))

	w := NewWriter(&types, 10)
	for range 2 {
		w.Reset()
		for _, series := range []string{`c{b="1",a="2"}`, `h_bucket{le="1"}`, `h_bucket{le="+Inf"}`, `h_sum`, `c`, `h_total`, `{"o.k"}`} {
			require.NoError(t, w.Sample([]byte(series), 5, 0.5))
		}
		assert.Equal(t, strings.Join([]string{
			"# TYPE c counter", `c{a="2",b="1"} 0.5 5`, `# HELP h How\nlong.`, "# TYPE h histogram", `h_bucket{le="1"} 0.5 5`, `h_bucket{le="+Inf"} 0.5 5`,
			"h_sum 0.5 5", "c 0.5 5", "h_total 0.5 5", `{"o.k"} 0.5 5`, "",
		}, "\n"), string(w.Text()))
		assert.Equal(t, 7, w.Samples())
	}
}

// What text cannot say is left out and counted, or refused where its sample is lost by that.
func TestWhatLinesCannotSay(t *testing.T) {
	w := NewWriter(new(Types), 2)
	require.NoError(t, w.Sample([]byte("x"), 5, math.Float64frombits(staleMarker)))
	require.NoError(t, w.Sample([]byte("x"), 5, math.NaN()))
	require.NoError(t, w.Exemplar(nil))
	require.NoError(t, w.Start(5))
	require.ErrorAs(t, w.Histogram([]byte("x"), 5, nil), new(*NativeError))
	require.Error(t, w.Sample([]byte("x{"), 5, 1))
	assert.Equal(t, "x NaN 5\n", string(w.Text()))
	assert.Equal(t, map[string]int{StaleMarker: 1, Exemplar: 1, StartTime: 1, NativeHistogram: 1}, w.LeftOut)
	require.NoError(t, w.Sample([]byte("y"), 5, 1))
	err := w.Sample([]byte("y"), 6, 1)
	require.ErrorAs(t, err, new(*decode.BrokenError))
	require.ErrorAs(t, err, new(*TooManyError))
}

// Senders of ever new families do not fill the memory.
func TestTypesAreBounded(t *testing.T) {
	var types Types
	w := NewWriter(&types, 1)
	for i := range 2 * maxFamilies {
		require.NoError(t, w.Type(fmt.Appendf(nil, "f%d", i), []byte("gauge")))
		require.LessOrEqual(t, len(types.families), maxFamilies)
	}
	help := []byte(strings.Repeat("x", maxTypesBytes/4))
	for i := range 10 {
		require.NoError(t, w.Help(fmt.Appendf(nil, "h%d", i), help))
		require.LessOrEqual(t, types.bytes, maxTypesBytes)
	}
	total := 0
	for name, f := range types.families {
		total += len(name) + len(f.kind) + len(f.help)
	}
	assert.Equal(t, total, types.bytes)
}
