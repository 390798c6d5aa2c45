package exposition

import (
	"bytes"
	"errors"
	"math"
	"math/bits"
	"strconv"
)

var (
	errNumber    = errors.New("not a number")
	errTimestamp = errors.New("not a timestamp in milliseconds")
)

// pow10 holds powers of ten that a float64 holds exactly, wholePow10 those that a
// uint64 does.
var (
	pow10 = [...]float64{
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	}
	wholePow10 = [...]uint64{
		1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
	}
)

// maxDigits is how many digits fit a uint64, whatever they are.
const maxDigits = 19

// ParseFloat reads a number with the same result, to the bit, as
// strconv.ParseFloat. As in Prometheus, hexadecimal numbers and underscores are
// refused. It does not allocate for a number that is one.
func ParseFloat(b []byte) (float64, error) {
	if v, ok := parseSimple(b); ok {
		return v, nil
	}
	hex := len(b) > 2 && (b[1]|0x20 == 'x' || b[2]|0x20 == 'x')
	if hex || bytes.IndexByte(b, '_') >= 0 {
		return 0, errNumber
	}
	// The string does not outlive the call but in an error, which is dropped.
	v, err := strconv.ParseFloat(view(b), 64)
	if err != nil {
		return 0, errNumber
	}
	return v, nil
}

// parseSimple reads a decimal without an exponent and of at most maxDigits digits.
func parseSimple(b []byte) (float64, bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, i = b[0] == '-', 1
	}
	if len(b)-i > maxDigits+1 {
		return 0, false
	}
	var n uint64
	digits, point := 0, -1
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d <= 9 {
			n = n*10 + uint64(d)
			digits++
			continue
		}
		if c != '.' || point >= 0 {
			return 0, false
		}
		point = digits
	}
	if digits == 0 || digits > maxDigits {
		return 0, false
	}
	if point < 0 {
		point = digits
	}
	v := decimal(n, digits-point)
	if negative {
		v = -v
	}
	return v, true
}

// Decimal reads a decimal without an exponent at the start of b, quickly, and returns its end, or 0 where it cannot: where b has another number, or
// fewer than NumberRoom bytes.
func Decimal(b []byte) (v float64, end int) {
	if len(b) < NumberRoom {
		return 0, 0
	}
	return decimalAt((*[NumberRoom]byte)(b), 0)
}

// Whole does so with the digits at the start of b.
func Whole(b []byte) (n uint64, end int) {
	if len(b) < NumberRoom {
		return 0, 0
	}
	if n, end = digitsAt((*[NumberRoom]byte)(b), 0); end > maxDigits {
		return 0, 0
	}
	return n, end
}

// decimalAt is parseSimple for a number that begins at b[i], where i is no more than
// 1, and that may have a minus only. It is twice as fast where the length of numbers
// varies, and returns where the number ends, or 0.
func decimalAt(b *[NumberRoom]byte, i int) (v float64, end int) {
	negative := b[i] == '-'
	if negative {
		i++
	}
	n, digits := digitsAt(b, i)
	i += digits
	decimals := 0
	if b[i] == '.' && digits <= maxDigits {
		var part uint64
		part, decimals = digitsAt(b, i+1)
		i += 1 + decimals
		if digits += decimals; digits <= maxDigits {
			n = n*wholePow10[decimals] + part
		}
	}
	if digits == 0 || digits > maxDigits {
		return 0, 0
	}
	v = decimal(n, decimals)
	if negative {
		v = -v
	}
	return v, i
}

// decimal is the float64 that is nearest to n / 10^decimals, for no more than
// maxDigits decimals. Where both are floats exactly, one division is exact, too
// (W. D. Clinger, "How to Read Floating Point Numbers Accurately", 1990).
func decimal(n uint64, decimals int) float64 {
	if n >= 1<<53 {
		return longDecimal(n, decimals)
	}
	if decimals == 0 {
		return float64(int64(n))
	}
	return float64(int64(n)) / pow10[decimals]
}

// longDecimal is decimal for n != 0. It divides integers, to 64 bits, of which the
// lowest says, too, whether anything was left over: more than is needed to round
// once, and rightly.
func longDecimal(n uint64, decimals int) float64 {
	divisor := wholePow10[decimals]
	shift := bits.LeadingZeros64(divisor) - bits.LeadingZeros64(n)
	high, low := n<<bits.LeadingZeros64(n), uint64(0)
	divisor <<= bits.LeadingZeros64(divisor)
	if high >= divisor { // the quotient would not fit
		high, low = high>>1, high<<63
		shift++
	}
	quotient, rest := bits.Div64(high, low, divisor)
	if rest != 0 {
		quotient |= 1
	}
	return float64(quotient) * math.Float64frombits(uint64(1023+shift-64)<<52)
}

// ParseTimestamp reads a whole number of milliseconds since the epoch.
func ParseTimestamp(b []byte) (int64, error) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, i = b[0] == '-', 1
	}
	if i == len(b) {
		return 0, errTimestamp
	}
	var n uint64
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 || n > math.MaxInt64/10 {
			return 0, errTimestamp
		}
		n = n*10 + uint64(d)
	}
	if n > math.MaxInt64 {
		return 0, errTimestamp
	}
	if negative {
		return -int64(n), nil
	}
	return int64(n), nil
}
