package exposition

import (
	"iter"
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
	best := bestText(h)
	escaping, known := escapingOf(best.escaping)
	switch {
	case known && best.version == "1.0.0":
		return escaping, "text/plain; version=1.0.0; charset=utf-8; escaping=" + escaping.String()
	case known && escaping == AllowUTF8:
		return AllowUTF8, ContentType
	}
	return Values, ContentType
}

func bestText(h http.Header) (best mediaRange) {
	for r := range mediaRanges(h) {
		if r.isText() && (r.quality > best.quality || r.quality == best.quality && r.exactness() > best.exactness()) {
			best = r
		}
	}
	return best
}

// ProtobufContentType is the media type of metric families in protobuf, each behind its
// length.
const ProtobufContentType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

// Standing is how a scraper's Accept headers rank a format beside others.
type Standing uint8

// The standings.
const (
	NotNamed Standing = iota // it is not named, or refused
	Behind                   // it is named, and others are liked better
	Ahead                    // it is liked best; protobuf, also as much as text
	Alone                    // text is not accepted; OpenMetrics, also where no other format is named
)

// NegotiateProtobuf says how protobuf stands in the Accept headers of a scraper, and how it
// wants names that are not classic there. Who takes anything has not named it.
//
// A Prometheus says the latter of text and OpenMetrics only, and means protobuf, too.
func NegotiateProtobuf(h http.Header) (standing Standing, escaping Escaping) {
	var best, others mediaRange
	for r := range mediaRanges(h) {
		if r.isProtobuf() && r.quality > best.quality {
			best = r
		}
		if _, known := escapingOf(r.escaping); known && others.escaping == "" {
			others = r
		}
	}
	text := bestText(h)
	switch {
	case best.quality == 0:
		return NotNamed, Values
	case text.quality == 0:
		standing = Alone
	case text.quality <= best.quality:
		standing = Ahead
	default:
		standing = Behind
	}
	if e, known := escapingOf(best.escaping); known {
		return standing, e
	}
	escaping, _ = escapingOf(others.escaping)
	return standing, escaping
}

// OpenMetrics is how a scraper asks for OpenMetrics.
type OpenMetrics struct {
	Standing    Standing // beside text and protobuf
	Version     string   // 0.0.1, 1.0.0 or 2.0.0
	Escaping    Escaping // of names that are not classic
	ContentType string   // of what is written so
}

// NegotiateOpenMetrics says how OpenMetrics stands in the Accept headers of a scraper, and how it wants it. Of the versions the
// one counts that is liked best, of those the first. Version 2.0.0 counts where second is true, and a media range without
// a version is one of 1.0.0.
func NegotiateOpenMetrics(h http.Header, second bool) OpenMetrics {
	var best mediaRange
	var escaping string // that a Prometheus says of other formats and means of version 2.0.0, too
	others := bestText(h)
	for r := range mediaRanges(h) {
		if escaping == "" {
			escaping = r.escaping
		}
		switch {
		case r.isProtobuf() && r.quality > others.quality:
			others = r
		case r.media != openMetrics:
		case r.version == "":
			r.version = "1.0.0"
			fallthrough
		case r.version == "0.0.1", r.version == "1.0.0", r.version == "2.0.0" && second:
			if r.quality > best.quality {
				best = r
			}
		}
	}
	if best.quality == 0 {
		return OpenMetrics{}
	}
	o := OpenMetrics{Standing: Behind, Version: best.version, ContentType: openMetrics + "; version=" + best.version + "; charset=utf-8"}
	switch {
	case best.quality <= others.quality:
	case others.isProtobuf() || others.media == "text/plain":
		o.Standing = Ahead
	default:
		o.Standing = Alone
	}
	if best.escaping == "" && best.version == "2.0.0" {
		best.escaping = escaping
	}
	if e, known := escapingOf(best.escaping); known {
		o.Escaping = e
		o.ContentType += "; escaping=" + e.String()
	}
	return o
}

// openMetrics is the media type of OpenMetrics.
const openMetrics = "application/openmetrics-text"

// mediaRange is an item of an Accept header.
type mediaRange struct {
	media             string
	quality           float64
	version, escaping string
	proto, encoding   string
}

// mediaRanges yields what is accepted.
func mediaRanges(h http.Header) iter.Seq[mediaRange] {
	return func(yield func(mediaRange) bool) {
		for _, line := range h.Values("Accept") {
			for item := range strings.SplitSeq(line, ",") {
				if r := parseMediaRange(item); r.quality > 0 && !yield(r) {
					return
				}
			}
		}
	}
}

// exactness is how exactly a range names the text format; 0 where it does not.
func (r mediaRange) exactness() int {
	switch r.media {
	case "text/plain":
		return 3
	case "text/*":
		return 2
	case "*/*":
		return 1
	}
	return 0
}

func (r mediaRange) isText() bool {
	return r.exactness() > 0 && (r.version == "" || r.version == "0.0.4" || r.version == "1.0.0")
}

func (r mediaRange) isProtobuf() bool {
	return r.media == "application/vnd.google.protobuf" && r.proto == "io.prometheus.client.MetricFamily" && r.encoding == "delimited"
}

func parseMediaRange(item string) mediaRange {
	name, params, _ := strings.Cut(item, ";")
	r := mediaRange{media: strings.ToLower(strings.TrimSpace(name)), quality: 1}
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
		case "proto":
			r.proto = value
		case "encoding":
			r.encoding = value
		}
	}
	return r
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
