package exposition

import (
	"slices"
	"strconv"
)

// AppendName appends a metric name as it stands in a TYPE or HELP line: in quotes
// when it is not a classic one.
func AppendName(dst []byte, name string) []byte {
	if ValidMetricName(name) {
		return append(dst, name...)
	}
	return appendQuoted(dst, name)
}

// AppendLabelName appends a label's name as it stands between the braces of a
// series: in quotes when it is not a classic one.
func AppendLabelName(dst []byte, name string) []byte {
	if ValidLabelName(name) {
		return append(dst, name...)
	}
	return appendQuoted(dst, name)
}

// AppendLegacyLabelName appends a label's name as a classic one, as AppendLegacyName
// does a metric's; a colon is written by its number.
func AppendLegacyLabelName(dst []byte, name string) []byte { return appendLegacy(dst, name, inLabel) }

// AppendLegacyName appends a metric name as a classic one, by the scheme that
// Prometheus calls values: U__, then letters and digits as they are, an underscore
// doubled, and any other character as its number in hexadecimal between
// underscores. A classic name stays as it is.
func AppendLegacyName(dst []byte, name string) []byte { return appendLegacy(dst, name, inMetric) }

// AppendLegacy appends the canonical text of a series with all names classic, as
// AppendLegacyName makes them, for a scraper that takes no others. What is not
// the text of a series is appended as it is.
//
// Prometheus leaves the colon of a label name alone, with which an old server
// refuses the scrape; here it is written by its number. Where a label has the name
// already that another one gets, an underscore is added to the latter, as
// a series with the same label twice would fail the scrape, too.
func AppendLegacy(dst, canonicalText []byte) []byte {
	p := NewSeriesParser(Limits{})
	series, err := p.Parse(canonicalText)
	if err != nil || !series.Quoted {
		return append(dst, canonicalText...)
	}
	for i := range p.labels {
		if l := &p.labels[i]; !ValidLabelName(view(l.name)) {
			l.name = p.legacyLabelName(l.name)
		}
	}
	name := AppendLegacyName(nil, view(p.name))
	return appendSeries(dst, name, p.labels)
}

// legacyLabelName makes a classic name that no other label has.
func (p *SeriesParser) legacyLabelName(name []byte) []byte {
	name = appendLegacy(nil, view(name), inLabel)
	for slices.ContainsFunc(p.labels, func(l label) bool { return string(l.name) == string(name) }) {
		name = append(name, '_')
	}
	return name
}

func appendLegacy(dst []byte, name string, set byte) []byte {
	if validName(name, set) {
		return append(dst, name...)
	}
	dst = append(dst, "U__"...)
	for i, r := range name {
		switch {
		case r == '_':
			dst = append(dst, "__"...)
		case r < 0x80 && class[r]&set != 0 && (i > 0 || class[r]&isDigit == 0):
			dst = append(dst, byte(r))
		default:
			dst = append(strconv.AppendInt(append(dst, '_'), int64(r), 16), '_')
		}
	}
	return dst
}
