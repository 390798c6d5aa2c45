package exposition

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
)

var (
	errNumber    = errors.New("not a number")
	errTimestamp = errors.New("not a timestamp in milliseconds")
)

// pow10 holds the powers of ten that a float64 holds exactly.
var pow10 = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}

// ParseFloat reads a number with the same result, to the bit, as
// strconv.ParseFloat. As in Prometheus, hexadecimal numbers and underscores are
// refused. It does not allocate for a number that is one.
//
// A decimal whose digits fit 53 bits and whose exponent is at most 22 is one
// exact multiplication or division (W. D. Clinger, "How to Read Floating Point
// Numbers Accurately", 1990); strconv reads the rest.
func ParseFloat(b []byte) (float64, error) {
	if v, ok := parseSimple(b); ok {
		return v, nil
	}
	for _, c := range b {
		if c == '_' || c|0x20 == 'x' || c|0x20 == 'p' {
			return 0, errNumber
		}
	}
	// The string does not outlive the call but in an error, which is dropped.
	v, err := strconv.ParseFloat(view(b), 64)
	if err != nil {
		return 0, errNumber
	}
	return v, nil
}

func parseSimple(b []byte) (float64, bool) {
	i, negative := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative, i = b[0] == '-', 1
	}
	// Nineteen digits fit a uint64.
	if len(b)-i > 20 || i == len(b) {
		return 0, false
	}
	var mantissa uint64
	digits, point := 0, -1
	for ; i < len(b); i++ {
		c := b[i]
		if d := c - '0'; d <= 9 {
			mantissa = mantissa*10 + uint64(d)
			digits++
			continue
		}
		if c != '.' || point >= 0 {
			return 0, false
		}
		point = digits
	}
	if digits == 0 || digits > 19 || bits.Len64(mantissa) > 53 {
		return 0, false
	}
	v := float64(mantissa)
	if point >= 0 {
		v /= pow10[digits-point]
	}
	if negative {
		v = -v
	}
	return v, true
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
