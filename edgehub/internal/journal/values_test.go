package journal

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/framing"
)

var odd = []float64{
	0, math.Copysign(0, -1), 1, -1, 127, 128, -128, 0.5, 23.45, 1<<46 - 1, 1 << 46, 1<<47 - 1, 1 << 47, -(1 << 47), -(1 << 47) - 1, 1<<51 - 1, 1 << 51, 1<<51 + 0.5,
	1 << 52, 3 << 51, -(3 << 51), 1 << 53, 1 << 60, 1e15, 1e22, 1e300, math.MaxFloat64, 5e-324, 0x1p-1022, math.Inf(1), math.Inf(-1), math.NaN(),
	math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0xfff8000000000123), math.Pi,
}

// Values come back to the bit, also those that stand alone among small ones, and of any number.
func TestValues(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	check := func(values []float64) {
		text := appendValues([]byte("x"), values)
		require.LessOrEqual(t, len(text), 1+valuesBytes(len(values)))
		got := make([]float64, len(values))
		in := reader{framing.Reader{Rest: text[1:]}}
		in.values(got)
		require.False(t, in.Bad)
		for i := range values {
			require.Equal(t, math.Float64bits(values[i]), math.Float64bits(got[i]), "%d of %v", i, values)
		}
		for n := 1; n < len(text); n++ {
			in := reader{framing.Reader{Rest: text[1:n]}}
			in.values(got)
			require.True(t, in.Bad, "%d bytes of %v", n, values)
		}
		in = reader{framing.Reader{Rest: append(text[1:], 0)}}
		in.values(got)
		require.True(t, in.Bad)
	}
	for _, v := range odd {
		for _, n := range []int{1, 7, 8, 9} {
			values := make([]float64, n)
			for i := range values {
				values[i] = float64(r.IntN(300))
			}
			values[r.IntN(n)] = v
			check(values)
		}
	}
	for range 2000 {
		values := make([]float64, r.IntN(40))
		for i := range values {
			switch r.IntN(9) {
			case 0:
				values[i] = math.Float64frombits(r.Uint64())
			case 1:
				values[i] = odd[r.IntN(len(odd))]
			default:
				values[i] = float64(r.Int64() >> r.IntN(64))
			}
		}
		check(values)
	}
}

// Whole numbers are what it is for.
func TestWholeNumbersAreShort(t *testing.T) {
	for most, size := range map[float64]int{0: 0, 127: 1, 1<<15 - 1: 2, 1<<47 - 1: 6, 1 << 47: 8, 0.5: 8} {
		require.Len(t, appendValues(nil, []float64{0, 0, 0, 0 - most, 0, 0, most, 0}), 1+8*size, most)
	}
}
