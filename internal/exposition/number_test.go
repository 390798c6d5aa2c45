package exposition

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// sameBits fails unless ParseFloat and strconv agree on text.
func sameBits(t *testing.T, text string) {
	t.Helper()
	want, wantErr := strconv.ParseFloat(text, 64)
	got, err := ParseFloat([]byte(text))
	if wantErr != nil || strings.ContainsAny(text, "_xXpP") {
		require.Error(t, err, text)
		return
	}
	require.NoError(t, err, text)
	require.Equal(t, math.Float64bits(want), math.Float64bits(got), text)
}

func TestParseFloatIsStrconvs(t *testing.T) {
	for _, s := range []string{
		"0", "-0", "+0", "1", "-1.5", "+2.25", ".5", "5.", ".", "-", "+", "", "1.2.3", "1e5", "1E-5", "inf", "+Inf", "-Infinity", "NaN", "nan",
		"9007199254740991", "9007199254740993", "0.1", "0.30000000000000004", "123456789.123456789", "1e400", "1e-400",
		"18446744073709551615", "18446744073709551616", "0.0000000000000000001", "1234567890.1234567890", "0x1p4", "1_000", "1 ", "one",
	} {
		sameBits(t, s)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		v := math.Float64frombits(r.Uint64())
		sameBits(t, strconv.FormatFloat(v, 'g', -1, 64))
		sameBits(t, strconv.FormatFloat(r.NormFloat64()*1000, 'f', r.IntN(18), 64))
		digits := strconv.FormatUint(r.Uint64()>>r.IntN(64), 10)
		point := r.IntN(len(digits) + 1)
		sameBits(t, digits[:point]+"."+digits[point:])
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, s := range []string{"1.5", "-0", "1e22", "9007199254740993", "0x1", "inf"} {
		f.Add(s)
	}
	f.Fuzz(sameBits)
}

func TestParseTimestamp(t *testing.T) {
	f := func(text string, want int64, valid bool) {
		t.Helper()
		got, err := ParseTimestamp([]byte(text))
		assert.Equal(t, valid, err == nil, text)
		assert.Equal(t, want, got, text)
	}
	f("0", 0, true)
	f("1763690000000", 1763690000000, true)
	f("-5", -5, true)
	f("+5", 5, true)
	f("9223372036854775807", math.MaxInt64, true)
	f("9223372036854775808", 0, false)
	f("99999999999999999999", 0, false)
	f("", 0, false)
	f("-", 0, false)
	f("1.5", 0, false)
	f("1e3", 0, false)
}

// writesAsStrconv fails unless AppendFloat writes v as it says, and ParseFloat reads
// it back.
func writesAsStrconv(t *testing.T, v float64) {
	t.Helper()
	format := byte('g')
	if size := math.Abs(v); size == 0 || 1e-4 <= size && size < 1<<53 {
		format = 'f'
	}
	want := strconv.FormatFloat(v, format, -1, 64)
	require.Equal(t, want, string(AppendFloat(nil, v)))
	got, err := ParseFloat([]byte(want))
	require.NoError(t, err)
	if v == v {
		require.Equal(t, math.Float64bits(v), math.Float64bits(got), "%v", v)
	}
}

func TestAppendFloatWritesAsStrconv(t *testing.T) {
	for _, v := range []float64{
		0, math.Copysign(0, -1), 1, -1, 0.1, -0.5, 1e-4, 0.00012345678, 0.000123456789, 9.9e-5, 99999999, 1e8, 123456789.25, 9999999.99999999,
		1 << 53, -1 << 53, 1<<53 - 1, 1e15, 1e16, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1), math.NaN(),
		0.1 + 0.2, 1e7 - 1e-9, math.Nextafter(0.25, 1), math.Nextafter(1e-4, 0),
	} {
		writesAsStrconv(t, v)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		writesAsStrconv(t, math.Float64frombits(r.Uint64()))
		writesAsStrconv(t, float64(r.Int64N(1<<54)>>r.IntN(54)))
		decimals := float64(r.Int64N(1<<50)>>r.IntN(50)) / math.Pow(10, float64(r.IntN(12)))
		writesAsStrconv(t, decimals)
		writesAsStrconv(t, math.Nextafter(-decimals, 0))
	}
}

func FuzzAppendFloat(f *testing.F) {
	for _, v := range []float64{0, 1.5, -0.001, 1e8, 1e-5, 123456.789} {
		f.Add(v)
	}
	f.Fuzz(writesAsStrconv)
}

func TestAppendTimestamp(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 10_000 {
		ms := int64(r.Uint64()) >> r.IntN(64)
		require.Equal(t, strconv.FormatInt(ms, 10), string(AppendTimestamp(nil, ms)))
	}
	assert.Equal(t, "x 0", string(AppendTimestamp([]byte("x "), 0)))
}

func TestEscaping(t *testing.T) {
	f := func(plain, inLabel, inHelp string) {
		t.Helper()
		assert.Equal(t, inLabel, string(AppendLabelValue(nil, plain)))
		assert.Equal(t, inHelp, string(AppendHelp(nil, plain)))
		assert.Equal(t, plain, UnescapeHelp([]byte(inHelp)))
	}
	f(`plain`, `plain`, `plain`)
	f("a\nb", `a\nb`, `a\nb`)
	f(`a\nb`, `a\\nb`, `a\\nb`)
	f(`say "x"`, `say \"x\"`, `say "x"`)
	f(`say \"x\"`, `say \\\"x\\\"`, `say \\"x\\"`)
	assert.Equal(t, `\"\t\`, UnescapeHelp([]byte(`\"\t\`)))
}

func TestNames(t *testing.T) {
	f := func(name string, metric, label bool) {
		t.Helper()
		assert.Equal(t, metric, ValidMetricName(name), name)
		assert.Equal(t, label, ValidLabelName(name), name)
	}
	f("up", true, true)
	f("_a1", true, true)
	f("job:up:sum", true, false)
	f("", false, false)
	f("1up", false, false)
	f("a-b", false, false)
	f("größe", false, false)
}
