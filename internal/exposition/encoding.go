package exposition

import (
	"net/http"
	"strconv"
	"strings"
)

// ReasonHeader is the header of a hub's refusal that says why in one word. Reasons
// that begin with gateway_ are about one of the gateways in the push, and hub and
// others are fine.
const ReasonHeader = "Hubring-Reason"

// AcceptsGzip says whether the Accept-Encoding headers of a request, or of a
// response (RFC 7694), name gzip with a quality other than 0.
func AcceptsGzip(h http.Header) bool { return acceptedCoding(h, "gzip") > 0 }

// LikedCodings are the qualities with which the Accept-Encoding headers name gzip and zstd, 0 where what is not
// compressed is liked better.
func LikedCodings(h http.Header) (gzip, zstd float64) {
	plain := acceptedCoding(h, "identity")
	liked := func(q float64) float64 {
		if q < plain {
			return 0
		}
		return q
	}
	return liked(acceptedCoding(h, "gzip")), liked(acceptedCoding(h, "zstd"))
}

// acceptedCoding is the quality with which a coding is named, 0 where it is not.
func acceptedCoding(h http.Header, name string) float64 {
	for _, line := range h.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(line, ",") {
			coding, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(coding), name) {
				quality, weighed := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				if q, err := strconv.ParseFloat(quality, 64); weighed {
					if err != nil || !(q > 0) {
						return 0
					}
					return q
				}
				return 1
			}
		}
	}
	return 0
}
