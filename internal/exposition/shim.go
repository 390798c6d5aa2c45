package exposition

import (
	"net/http"

	"github.com/cespare/xxhash/v2"
)

type SeriesParser struct {
	limits Limits
	labels []label
}

type ParsedSeries struct {
	Name, Text       []byte
	OddBound, Quoted bool
	Group            uint64
}

func NewSeriesParser(l Limits) *SeriesParser { return &SeriesParser{limits: l} }
func (p *SeriesParser) Parse(raw []byte) (ParsedSeries, error) {
	s, err := ParseSeries(raw, p.limits)
	if err != nil {
		return ParsedSeries{}, err
	}
	p.labels, _ = parseLabels(raw[nameLen(raw, inMetric):], 0)
	text := []byte(s.Text)
	if s.Text == string(raw) {
		text = raw
	}
	return ParsedSeries{Name: []byte(s.Name), Text: text, OddBound: s.OddBound, Group: xxhash.Sum64(text)}, nil
}
func (p *SeriesParser) Label(name string) ([]byte, bool) {
	for _, l := range p.labels {
		if l.name == name {
			return []byte(l.value), true
		}
	}
	return nil, false
}
func AppendName(dst []byte, name string) []byte { return append(dst, name...) }
func AppendLegacy(dst, text []byte) []byte      { return append(dst, text...) }
func AcceptsUTF8(h http.Header) bool            { return true }
