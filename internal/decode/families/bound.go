package families

import (
	"bytes"
	"math"
	"strconv"
)

// appendBound appends a le or quantile as Prometheus names the series of a family in protobuf, and since its third version those of a text, too. A
// plain one is as in the text that a client would have written.
func appendBound(dst []byte, v float64, plain bool) []byte {
	switch {
	case plain && v == 0: // also the negative one
		return append(dst, '0')
	case math.IsNaN(v):
		return append(dst, "NaN"...)
	case math.IsInf(v, 1):
		return append(dst, "+Inf"...)
	case v == 0: // also the negative one
		return append(dst, "0.0"...)
	}
	from := len(dst)
	dst = strconv.AppendFloat(dst, v, 'g', -1, 64)
	if !plain && !math.IsInf(v, 0) && !bytes.ContainsAny(dst[from:], "e.") {
		dst = append(dst, ".0"...)
	}
	return dst
}
