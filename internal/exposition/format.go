package exposition

import (
	"math"
	"strconv"
)

// AppendFloat appends the fewest digits that ParseFloat reads back as the same
// number, to the bit (but for the payload of a NaN). There is no exponent for 0 and
// from 0.0001 to 2^53.
//
// Most samples are whole or have few decimals. Whether v has no more than eight is
// seen by one exact division: a decimal of at most 15 digits has a float64 of its
// own, so if that is v, no shorter one is. strconv writes the rest.
func AppendFloat(dst []byte, v float64) []byte {
	size := math.Abs(v)
	switch whole := int64(size); {
	case size < 1<<53 && float64(whole) == size:
		return appendWhole(appendSign(dst, v), uint64(whole))
	case 1e-4 <= size && size < 1<<53:
		// The product may be off by a rounding, and then is no match.
		if n := int64(size*1e8 + 0.5); size < 1e7 && float64(n)/1e8 == size {
			return appendFraction(appendWhole(appendSign(dst, v), uint64(n)/1e8), uint64(n)%1e8)
		}
		return strconv.AppendFloat(dst, v, 'f', -1, 64)
	case v != v:
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

func appendSign(dst []byte, v float64) []byte {
	if math.Signbit(v) {
		return append(dst, '-')
	}
	return dst
}

// AppendTimestamp appends a time in milliseconds since the epoch.
func AppendTimestamp(dst []byte, ms int64) []byte {
	if ms < 0 || ms >= 1e16 {
		return strconv.AppendInt(dst, ms, 10)
	}
	return appendWhole(dst, uint64(ms))
}
