package exposition

import (
	"bytes"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// Escaping is what is done with names that are not classic ones for a scraper
// (https://prometheus.io/docs/instrumenting/escaping_schemes/). Classic names stay as
// they are. Only Values keeps all names apart: with Underscores and Dots two series, or
// two families, may become one, which who asks for them has to know.
type Escaping uint8

const (
	// Values is for scrapers that do not ask: U__, then letters and digits as they are,
	// an underscore doubled, and any other character as its number in hexadecimal between
	// underscores.
	Values Escaping = iota
	// AllowUTF8 leaves names as they are, in quotes.
	AllowUTF8
	// Underscores makes an underscore of any other character.
	Underscores
	// Dots makes _dot_ of a dot, and two underscores of an underscore and of any other
	// character.
	Dots
)

// schemes has what Prometheus calls each Escaping, and colons what becomes of a label's
// colon.
var (
	schemes = [...]model.EscapingScheme{
		Values: model.ValueEncodingEscaping, AllowUTF8: model.NoEscaping, Underscores: model.UnderscoreEscaping, Dots: model.DotsEscaping,
	}
	colons = [...]string{Values: "_3a_", AllowUTF8: ":", Underscores: "_", Dots: "__"}
)

// String returns the word for e in the headers of a scrape.
func (e Escaping) String() string { return schemes[e].String() }

// AppendSeries appends the canonical text of a series with its names escaped. What is
// not the text of a series is appended as it is.
//
// Prometheus leaves the colon of a label name alone, with which an old server refuses
// the scrape; here it is escaped, too. Where a label has the name already that another
// one gets, or where that would be __name__, an underscore is added to the latter, as
// a series with the same label twice would fail the scrape, too.
func (e Escaping) AppendSeries(dst, canonicalText []byte) []byte {
	if e == AllowUTF8 || !mayQuoteNames(canonicalText) {
		return append(dst, canonicalText...)
	}
	p := NewSeriesParser(Limits{})
	series, err := p.Parse(canonicalText)
	if err != nil || !series.Quoted {
		return append(dst, canonicalText...)
	}
	for i := range p.labels {
		if l := &p.labels[i]; !ValidLabelName(view(l.name)) {
			l.name = e.freeLabelName(p.labels, l.name)
		}
	}
	return appendSeries(dst, e.AppendName(nil, view(p.name)), p.labels)
}

// AppendName appends a metric name as it stands in a TYPE or HELP line. The name is not
// empty.
func (e Escaping) AppendName(dst []byte, name string) []byte {
	switch {
	case ValidMetricName(name):
		return append(dst, name...)
	case e == AllowUTF8:
		return appendQuoted(dst, name)
	}
	return append(dst, model.EscapeName(name, schemes[e])...)
}

// AppendLabelName appends a label's name as it stands between the braces of a series. The
// name is not empty.
func (e Escaping) AppendLabelName(dst []byte, name string) []byte {
	switch {
	case ValidLabelName(name):
		return append(dst, name...)
	case e == AllowUTF8:
		return appendQuoted(dst, name)
	}
	escaped := model.EscapeName(name, schemes[e])
	if e == Values && escaped == name { // only colons are amiss
		escaped = "U__" + strings.ReplaceAll(name, "_", "__")
	}
	return append(dst, strings.ReplaceAll(escaped, ":", colons[e])...)
}

// freeLabelName makes a classic name that no other label has.
func (e Escaping) freeLabelName(labels []label, name []byte) []byte {
	name = e.AppendLabelName(nil, view(name))
	for string(name) == model.MetricNameLabel || slices.ContainsFunc(labels, func(l label) bool { return bytes.Equal(l.name, name) }) {
		name = append(name, '_')
	}
	return name
}

// mayQuoteNames says whether a canonical text has names in quotes. It is wrong, so that
// the text has to be parsed, where a value ends in a brace or a comma.
func mayQuoteNames(text []byte) bool {
	return bytes.Contains(text, []byte(`{"`)) || bytes.Contains(text, []byte(`,"`))
}

// AppendName appends a metric name as it stands in a TYPE or HELP line: in quotes
// when it is not a classic one.
func AppendName(dst []byte, name string) []byte { return AllowUTF8.AppendName(dst, name) }

// AppendLabelName appends a label's name as it stands between the braces of a
// series: in quotes when it is not a classic one.
func AppendLabelName(dst []byte, name string) []byte { return AllowUTF8.AppendLabelName(dst, name) }
