package exposition

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strconv"

	"github.com/cespare/xxhash/v2"
)

var (
	errQuote  = errors.New("a label value has no closing quote")
	errBrace  = errors.New("the labels have no closing brace")
	errNoName = errors.New("it has no metric name")
	errName   = errors.New("the label __name__ is reserved")
)

// Limits bound a series. A zero field means no bound.
type Limits struct {
	SeriesBytes int // length of a series as it was written
	Labels      int // number of labels
}

// DefaultLimits are those of a hub that is not told otherwise, and what an
// exporter keeps to: a hub refuses the whole push for one series beyond.
var DefaultLimits = Limits{SeriesBytes: 8 << 10, Labels: 64}

// Series is a series that was checked in full. Its slices are parts of the
// spelling or of its parser's scratch space: they are valid until the next Parse
// and as long as the spelling does not change.
type Series struct {
	// Name is the metric name, without quotes and escapes.
	Name []byte
	// Text is the canonical spelling: labels sorted by name, those of empty
	// value left out (to Prometheus they are the same), one way of escaping,
	// quotes only around names that need them. It is the spelling itself where
	// that is canonical. Two spellings mean one series when their texts are equal.
	Text []byte
	// OddBound says that a le or quantile label is no number, so that the
	// family can't be read as a histogram or summary.
	OddBound bool
	// Quoted says that the metric name or a label name is not a classic one, so
	// that the text has it in quotes.
	Quoted bool
	// Group is the same for all series of one histogram or summary: those whose
	// names differ in no more than a suffix _bucket, _count or _sum, and whose
	// labels differ in le and quantile only. Other series have other groups, as
	// far as 64 bits allow. It is the same in every process and release.
	Group uint64
}

// SeriesParser checks the spellings that a Scanner returned for a Sample. It keeps
// scratch space between calls, so it does not allocate once it has seen a few
// series (but for an odd bound). It is for one goroutine, and refers to the last
// spelling until the next Parse.
type SeriesParser struct {
	limits Limits

	name      []byte
	labels    []label // without those of empty value once parsed
	canonical bool    // nothing was seen yet that is not
	sorted    bool    // by name, each name once
	quoted    bool
	bound     bool // a label is le or quantile
	odd       bool

	unescaped []byte // what labels refer to where they have escapes
	text      []byte
	key       []byte
}

type label struct{ name, value []byte }

// NewSeriesParser returns a parser that refuses what is beyond the limits.
func NewSeriesParser(limits Limits) *SeriesParser { return &SeriesParser{limits: limits} }

// Parse checks a spelling and says what series it means.
func (p *SeriesParser) Parse(spelling []byte) (Series, error) {
	if most := p.limits.SeriesBytes; most > 0 && len(spelling) > most {
		return Series{}, fmt.Errorf("series %.60q… has %d bytes, the limit is %d", spelling, len(spelling), most)
	}
	p.name, p.labels, p.unescaped = nil, p.labels[:0], p.unescaped[:0]
	p.canonical, p.sorted, p.quoted, p.bound, p.odd = true, true, false, false, false
	err := p.read(spelling)
	if err == nil && !p.sorted {
		err = p.sort()
	}
	if err != nil {
		return Series{}, fmt.Errorf("series %.100q: %w", spelling, err)
	}
	s := Series{Name: p.name, Text: spelling, OddBound: p.odd, Quoted: p.quoted}
	if !p.canonical {
		p.labels = slices.DeleteFunc(p.labels, func(l label) bool { return len(l.value) == 0 })
		p.text = appendSeries(p.text[:0], p.name, p.labels)
		s.Text, s.Quoted = p.text, p.needsQuotes()
	}
	s.Group = p.group(s.Text)
	return s, nil
}

// Label returns the value of a label of the series that was parsed last, without
// escapes, and whether there is one; a label of empty value is none. The value is
// valid as long as the series.
func (p *SeriesParser) Label(name string) (value []byte, ok bool) {
	for i := range p.labels {
		if l := &p.labels[i]; string(l.name) == name {
			return l.value, true
		}
	}
	return nil, false
}

// Labels yields the labels of the series that was parsed last, without escapes, which are valid as long as the series.
func (p *SeriesParser) Labels() iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for _, l := range p.labels {
			if !yield(l.name, l.value) {
				return
			}
		}
	}
}

// read takes the spelling apart.
func (p *SeriesParser) read(b []byte) error {
	n := nameLen(b, inMetric)
	p.name = b[:n]
	i := p.skipBlanks(b, n)
	if i == len(b) {
		if n == 0 {
			return errNoName
		}
		return nil
	}
	if b[i] != '{' {
		return fmt.Errorf("metric name %.100q is followed by %q", p.name, b[i])
	}
	if err := p.readLabels(b, i+1); err != nil {
		return err
	}
	if len(p.name) == 0 {
		return errNoName
	}
	return nil
}

// readLabels reads what follows the opening brace, through the closing one.
func (p *SeriesParser) readLabels(b []byte, i int) error {
	separated := false // the last item was followed by a comma
	for {
		i = p.skipBlanks(b, i)
		if i == len(b) {
			return errBrace
		}
		if b[i] == '}' {
			// Braces around nothing and a comma at the end are not canonical.
			p.canonical = p.canonical && !separated && (len(p.labels) > 0 || p.quoted)
			if i+1 < len(b) {
				return fmt.Errorf("%.40q follows the labels", b[i+1:])
			}
			return nil
		}
		var err error
		if i, err = p.readItem(b, i); err != nil {
			return err
		}
		if i < len(b) && b[i] != ',' {
			i = p.skipBlanks(b, i)
		}
		// Prometheus does not insist on commas after values.
		if separated = i < len(b) && b[i] == ','; separated {
			i++
		} else if i < len(b) && b[i] != '}' {
			p.canonical = false
		}
	}
}

// readItem reads `name="value"`, or a metric name in quotes, and returns where it
// ends.
func (p *SeriesParser) readItem(b []byte, start int) (end int, err error) {
	var name []byte
	i := start
	if b[i] == '"' {
		if name, i, err = p.readQuoted(b, i+1); err != nil {
			return 0, fmt.Errorf("a name in quotes: %w", err)
		}
		if after := p.skipBlanks(b, i); after < len(b) && (b[after] == ',' || b[after] == '}') {
			return after, p.setName(name)
		}
		if len(name) == 0 {
			return 0, errors.New("a label name is empty")
		}
		if ValidLabelName(view(name)) {
			p.canonical = false
		} else {
			p.quoted = true
		}
	} else {
		i += nameLen(b[i:], inLabel)
		if name = b[start:i]; len(name) == 0 {
			return 0, fmt.Errorf("%.40q does not begin with a label name", b[start:])
		}
	}
	if i+1 < len(b) && b[i] == '=' && b[i+1] == '"' {
		i += 2
	} else if i, err = p.skipEqual(b, i, name); err != nil {
		return 0, err
	}
	value, i, err := p.readQuoted(b, i)
	if err != nil {
		return 0, fmt.Errorf("value of label %q: %w", name, err)
	}
	return i, p.addLabel(name, value)
}

// skipEqual returns the position after `="`, with blanks in between.
func (p *SeriesParser) skipEqual(b []byte, i int, name []byte) (int, error) {
	i = p.skipBlanks(b, i)
	if i == len(b) || b[i] != '=' {
		return 0, fmt.Errorf("no = after label name %q", name)
	}
	i = p.skipBlanks(b, i+1)
	if i == len(b) || b[i] != '"' {
		return 0, fmt.Errorf("the value of label %q is not in quotes", name)
	}
	return i + 1, nil
}

// setName takes a metric name that was in quotes.
func (p *SeriesParser) setName(name []byte) error {
	switch {
	case len(p.name) > 0:
		return fmt.Errorf("a second metric name %.100q", name)
	case len(name) == 0:
		return errNoName
	}
	p.name = name
	if ValidMetricName(view(name)) {
		p.canonical = false
		return nil
	}
	p.quoted = true
	p.canonical = p.canonical && len(p.labels) == 0
	return nil
}

// needsQuotes says whether any name is not a classic one.
func (p *SeriesParser) needsQuotes() bool {
	return !ValidMetricName(view(p.name)) ||
		slices.ContainsFunc(p.labels, func(l label) bool { return !ValidLabelName(view(l.name)) })
}

func (p *SeriesParser) addLabel(name, value []byte) error {
	switch string(name) {
	case "__name__":
		return errName
	case "le", "quantile":
		p.bound = p.bound || len(value) > 0
		p.odd = p.odd || len(value) > 0 && !isNumber(value)
	}
	if len(value) == 0 {
		p.canonical = false
	}
	if n := len(p.labels); n > 0 && bytes.Compare(p.labels[n-1].name, name) >= 0 {
		p.sorted = false
	}
	p.labels = append(p.labels, label{name, value})
	if most := p.limits.Labels; most > 0 && len(p.labels) > most {
		return fmt.Errorf("more than %d labels", most)
	}
	return nil
}

// sort sorts the labels by name and refuses a name that is there twice.
func (p *SeriesParser) sort() error {
	p.canonical = false
	slices.SortFunc(p.labels, func(a, b label) int { return bytes.Compare(a.name, b.name) })
	for i := 1; i < len(p.labels); i++ {
		if bytes.Equal(p.labels[i].name, p.labels[i-1].name) {
			return fmt.Errorf("label %q is there twice", p.labels[i].name)
		}
	}
	return nil
}

// skipBlanks returns the position of the first byte at or after i that is no
// blank.
func (p *SeriesParser) skipBlanks(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\t') {
		i++
		p.canonical = false
	}
	return i
}

// readQuoted reads what stands between quotes, from after the first one. It
// returns the text without escapes and the position after the second quote.
func (p *SeriesParser) readQuoted(b []byte, start int) (text []byte, end int, err error) {
	i := start + plainLen(b[start:])
	if i < len(b) && b[i] == '"' {
		return b[start:i], i + 1, nil
	}
	n := quoteEnd(b[start:])
	if n < 0 {
		return nil, 0, errQuote
	}
	raw := b[start : start+n]
	if err := CheckText(raw); err != nil {
		return nil, 0, err
	}
	return p.unescape(raw), start + n + 1, nil
}

func (p *SeriesParser) unescape(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw
	}
	from := len(p.unescaped)
	var escapes int
	p.unescaped, escapes = appendUnescaped(p.unescaped, raw, true)
	text := p.unescaped[from:]
	// Canonical text escapes each of the bytes that need it, and no other.
	if len(raw) != len(text)+escapes || escapes != needEscapes(text) {
		p.canonical = false
	}
	return text
}

// group returns the hash that all series of a histogram or summary share. What
// is hashed for these begins with a byte that no text has, so that a plain series
// of the same base name is not in their group.
func (p *SeriesParser) group(text []byte) uint64 {
	base := baseName(p.name)
	if len(base) == len(p.name) && !p.bound {
		return xxhash.Sum64(text)
	}
	const separator = 0xff // is not in UTF-8
	key := append(append(p.key[:0], separator), base...)
	for i := range p.labels {
		l := &p.labels[i]
		if string(l.name) == "le" || string(l.name) == "quantile" {
			continue
		}
		key = append(append(key, separator), l.name...)
		key = append(append(key, separator), l.value...)
	}
	p.key = key
	return xxhash.Sum64(key)
}

// baseName is the name of the histogram or summary that a series of this name
// would be of.
func baseName(name []byte) []byte {
	for _, suffix := range [...]string{"_bucket", "_count", "_sum"} {
		if n := len(name) - len(suffix); n > 0 && string(name[n:]) == suffix {
			return name[:n]
		}
	}
	return name
}

// appendSeries appends the canonical text of a series.
func appendSeries(dst, name []byte, labels []label) []byte {
	separator := byte('{')
	if ValidMetricName(view(name)) {
		dst = append(dst, name...)
	} else {
		dst = appendQuoted(append(dst, '{'), view(name))
		separator = ','
	}
	for _, l := range labels {
		dst = append(dst, separator)
		if ValidLabelName(view(l.name)) {
			dst = append(dst, l.name...)
		} else {
			dst = appendQuoted(dst, view(l.name))
		}
		dst = appendQuoted(append(dst, '='), view(l.value))
		separator = ','
	}
	if separator == ',' {
		dst = append(dst, '}')
	}
	return dst
}

func isNumber(b []byte) bool {
	if _, ok := parseSimple(b); ok {
		return true
	}
	_, err := strconv.ParseFloat(view(b), 64)
	return err == nil
}

// plainLen is the number of bytes at the start of b that stand for themselves
// between quotes and need no further check: ASCII but for control characters,
// quotes and backslashes. It looks at eight bytes at a time: subtracting from each
// byte one more than the highest that is sought sets its top bit, or that of
// a higher byte, which does not matter as the lowest one decides.
func plainLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		quote, backslash := w^ones*'"', w^ones*'\\'
		special := (w - ones*' ') | (quote - ones) | (backslash - ones) | w
		if special &= tops; special != 0 {
			return i + bits.TrailingZeros64(special)/8
		}
	}
	for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' && b[i] < 0x80 {
		i++
	}
	return i
}
