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
func AcceptsGzip(h http.Header) bool {
	for _, line := range h.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(line, ",") {
			coding, params, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				quality, weighed := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
				q, err := strconv.ParseFloat(quality, 64)
				return !weighed || err == nil && q > 0
			}
		}
	}
	return false
}
