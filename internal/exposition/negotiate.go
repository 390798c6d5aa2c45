package exposition

import (
	"net/http"
	"strconv"
	"strings"
)

// Negotiate says how the Accept headers of a scraper want names that are not classic,
// and the Content-Type of what is written so. Of the media ranges that the text format
// is in, the one of the highest quality counts, of those the one that names it most
// exactly, and of those the first: Prometheus lists OpenMetrics before, with parameters
// of its own.
//
// Version 1.0.0 with an escaping is answered as such. Anything else, also what names no
// text or an escaping that there is not, gets version 0.0.4 and Values, which
// every scraper reads; but for allow-utf-8, which is honoured there, too.
func Negotiate(h http.Header) (escaping Escaping, contentType string) {
	var best mediaRange
	for _, line := range h.Values("Accept") {
		for item := range strings.SplitSeq(line, ",") {
			if r := parseMediaRange(item); r.quality > best.quality || r.quality == best.quality && r.exactness > best.exactness {
				best = r
			}
		}
	}
	escaping, known := escapingOf(best.escaping)
	switch {
	case known && best.version == "1.0.0":
		return escaping, "text/plain; version=1.0.0; charset=utf-8; escaping=" + escaping.String()
	case known && escaping == AllowUTF8:
		return AllowUTF8, ContentType
	}
	return Values, ContentType
}

// mediaRange is an item of an Accept header, zero where it is not about a text that
// this package writes.
type mediaRange struct {
	quality           float64
	exactness         int
	version, escaping string
}

func parseMediaRange(item string) mediaRange {
	name, params, _ := strings.Cut(item, ";")
	r := mediaRange{quality: 1}
	switch strings.ToLower(strings.TrimSpace(name)) {
	case "text/plain":
		r.exactness = 3
	case "text/*":
		r.exactness = 2
	case "*/*":
		r.exactness = 1
	default:
		return mediaRange{}
	}
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(param, "=")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "q":
			q, err := strconv.ParseFloat(value, 64)
			if err != nil || !(q > 0) { // it may be NaN
				return mediaRange{}
			}
			r.quality = min(q, 1)
		case "version":
			r.version = value
		case "escaping":
			r.escaping = value
		}
	}
	switch r.version {
	case "", "0.0.4", "1.0.0":
		return r
	}
	return mediaRange{}
}

// escapingOf is the escaping that a header's word means.
func escapingOf(word string) (e Escaping, known bool) {
	for e := range schemes {
		if e := Escaping(e); strings.EqualFold(word, e.String()) {
			return e, true
		}
	}
	return Values, false
}
