package exposition

import (
	"math"
	"strconv"
	"strings"
)

// ContentType is the media type of the format that this package reads and
// writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// AppendLabelValue appends v as it stands between the quotes of a label:
// backslash, double quote and line feed are escaped.
func AppendLabelValue(dst []byte, v string) []byte {
	if strings.IndexByte(v, '\\') < 0 && strings.IndexByte(v, '"') < 0 && strings.IndexByte(v, '\n') < 0 {
		return append(dst, v...)
	}
	return appendEscaped(dst, v, true)
}

// AppendHelp appends v as it stands in a HELP line: backslash and line feed are
// escaped.
func AppendHelp(dst []byte, v string) []byte { return appendEscaped(dst, v, false) }

func appendEscaped(dst []byte, v string, quotes bool) []byte {
	for i := range len(v) {
		switch c := v[i]; {
		case c == '\\', c == '"' && quotes:
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// AppendFloat appends a short text that ParseFloat reads back as the same
// number, to the bit (but for the payload of a NaN). Whole numbers below 2^53,
// which most samples are, are written as such, which is faster and no longer.
func AppendFloat(dst []byte, v float64) []byte {
	switch {
	case v != v:
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case math.IsInf(v, -1):
		return append(dst, "-Inf"...)
	}
	if i := int64(v); float64(i) == v && -1<<53 < i && i < 1<<53 && (i != 0 || !math.Signbit(v)) {
		return strconv.AppendInt(dst, i, 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}
