package report

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFigure(t *testing.T) {
	for x, want := range map[float64]string{
		0.02345: "0.023", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234.5: "1,234", 1234567: "1,234,567", 0: "0.000",
	} {
		require.Equal(t, want, Figure(x))
	}
	require.Equal(t, "-1,234", Thousands(-1234))
	require.Equal(t, "-234", Thousands(-234))
}

func TestSpread(t *testing.T) {
	require.Equal(t, "2.00 (1.00-9.00)", Spread([]float64{9, 1, 2}))
	require.Equal(t, "1.50 (1.00-2.00)", Spread([]float64{2, 1}))
	require.Equal(t, "3.00", Spread([]float64{3}))
}

func TestQuantile(t *testing.T) {
	values := []float64{4, 1, 3, 2}
	require.InDelta(t, 1, Quantile(values, 0), 0)
	require.InDelta(t, 3, Quantile(values, 0.5), 0)
	require.InDelta(t, 4, Quantile(values, 1), 0)
}

func TestGoals(t *testing.T) {
	g := &Goals{}
	g.AtMost("exact", 1, 1, " s")
	g.AtLeast("exact", 2, 2, "x")
	g.Note("no limit", 99, " B")
	require.Zero(t, g.Missed())
	g.AtMost("too much", 1.01, 1, " s")
	g.AtLeast("too little", 1.99, 2, "x")
	g.AtMost("nothing was measured", math.NaN(), 1, " s")
	require.Equal(t, 3, g.Missed())

	tolerant := &Goals{Tolerance: 1.1}
	tolerant.AtMost("a bit much", 1.05, 1, " s")
	tolerant.AtLeast("a bit little", 1.9, 2, "x")
	require.Zero(t, tolerant.Missed())

	var out strings.Builder
	g.Write(&out)
	require.Equal(t, 3, strings.Count(out.String(), "MISSED"))

	notes := &Goals{}
	notes.Note("x", 1, "")
	out.Reset()
	notes.Write(&out)
	require.Contains(t, out.String(), "| x  |     1.00 | ")
}

func TestTable(t *testing.T) {
	var out strings.Builder
	Table(&out, []string{"", "a figure"}, [][]string{{"name", "1"}, {"longer name", "1,234"}})
	require.Equal(t, `|             | a figure |
| ----------- | -------: |
| name        |        1 |
| longer name |    1,234 |
`, out.String())
}
