package encode

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
)

// Texts turns texts in the text format into bodies, those of each key together. Get one from NewTexts and give it back with
// Release. It is one goroutine's.
type Texts struct {
	// Labels are set on all series that have none of their names. Set them before Encode.
	Labels Labels
	// Bodies are what was written. Whoever takes them over releases them.
	Bodies []*wire.Body

	now      int64 // in ms: the timestamp of what has none
	asGauges bool

	scanner  exposition.Scanner
	parser   *exposition.SeriesParser
	keys     map[string]int
	key      []string
	families map[string]int // by name
	family   []wire.Header
	lines    []textLine
	text     []byte         // of all lines
	homes    map[string]int // of series, by name: the families that they are of

	// Of the body that is being written.
	body   []byte
	shape  []wire.Header
	ends   []int
	claims wire.Claims
	before *wire.Shape
}

// textLine is a sample: its place in the text of all, and whose it is.
type textLine struct {
	key, family int32
	from, to    int
	ms          int64
	group       uint64 // of its histogram or summary
}

var texts = sync.Pool{New: func() any {
	return &Texts{
		parser: exposition.NewSeriesParser(exposition.DefaultLimits), before: &wire.Shape{},
		keys: map[string]int{}, families: map[string]int{}, homes: map[string]int{},
	}
}}

// NewTexts returns an encoder for one Submit. What has no timestamp gets now; with asGauges every family becomes gauges.
func NewTexts(now time.Time, asGauges bool) *Texts {
	t := texts.Get().(*Texts)
	t.now, t.asGauges = now.UnixMilli(), asGauges
	return t
}

// Release gives the scratch back. The bodies that were taken over stay as they are.
func (t *Texts) Release() {
	if cap(t.text) > maxPooledBytes || len(t.keys) > maxPooledNames || len(t.families) > maxPooledNames {
		return
	}
	clear(t.keys)
	clear(t.families)
	clear(t.homes)
	clear(t.key)
	clear(t.family)
	clear(t.Bodies)
	clear(t.shape)
	t.Labels, t.Bodies, t.key, t.family, t.lines, t.text, t.shape = nil, t.Bodies[:0], t.key[:0], t.family[:0], t.lines[:0], t.text[:0], t.shape[:0]
	t.scanner.Reset(nil)
	texts.Put(t)
}

// maxPooledNames is how many keys or families the scratch keeps the room for.
const maxPooledNames = 16 << 10

// Encode writes a text. The key of a series is the value of a label, "" where it has none. Nothing is written where the text
// has a fault: the error names the line.
func (t *Texts) Encode(label string, text []byte) error {
	t.scanner.Reset(text)
	for {
		switch kind := t.scanner.Next(0); kind {
		case exposition.End:
			if err := t.scanner.Err(); err != nil {
				return err
			}
			t.write()
			return nil
		case exposition.Type:
			f := &t.family[t.familyOf(t.scanner.Name())]
			if said := kindNamed(string(t.scanner.Text())); f.Kind == wire.Unsaid {
				f.Kind = said
				clear(t.homes)
			} else if f.Kind != said {
				return fmt.Errorf("line %d: %.100q is a %v and a %v", t.scanner.Line(), f.Name, f.Kind, said)
			}
		case exposition.Help:
			f := &t.family[t.familyOf(t.scanner.Name())]
			if help := exposition.UnescapeHelp(t.scanner.Text()); f.Help == "" {
				f.Help = sendableHelp(help)
			}
		case exposition.Sample:
			if err := t.sample(label); err != nil {
				return fmt.Errorf("line %d: %w", t.scanner.Line(), err)
			}
		case exposition.Repeated: // comes of a guess, and none is made
		}
	}
}

// kindNamed is the kind of a word in a TYPE line.
func kindNamed(word string) wire.Kind {
	for k := wire.Counter; k.Valid(); k++ {
		if k.String() == word {
			return k
		}
	}
	return wire.Untyped
}

// familyOf is the number of a family.
func (t *Texts) familyOf(name []byte) int {
	n, ok := t.families[string(name)]
	if !ok {
		n = len(t.family)
		h := wire.Header{Name: string(name), Kind: wire.Unsaid}
		t.family = append(t.family, h)
		t.families[h.Name] = n
	}
	return n
}

// home is the family that a series of a name is of: a histogram or summary of which it is a part, or that of its own name.
func (t *Texts) home(name []byte) int {
	if n, ok := t.homes[string(name)]; ok {
		return n
	}
	n := -1
	for _, suffix := range wire.Histogram.Suffixes() {
		if t.asGauges {
			break // each name is one of its own
		}
		base, ok := strings.CutSuffix(string(name), suffix)
		if !ok {
			continue
		}
		if at, known := t.families[base]; known && slices.Contains(t.family[at].Kind.Suffixes(), suffix) {
			n = at
		}
	}
	if n < 0 {
		n = t.familyOf(name)
	}
	t.homes[string(name)] = n
	return n
}

// sample notes the sample of a line.
func (t *Texts) sample(label string) error {
	s, err := t.parser.Parse(t.scanner.Spelling())
	if err != nil {
		return err
	}
	key, _ := t.parser.Label(label)
	k, ok := t.keys[string(key)]
	if !ok {
		k = len(t.key)
		t.key = append(t.key, string(key))
		t.keys[t.key[k]] = k
	}
	ms, stamped := t.scanner.Timestamp()
	if !stamped {
		ms = t.now
	} else if unit := exposition.OtherUnit(ms); unit != "" { // a hub would refuse it, and its sender would not hear of that
		return fmt.Errorf("series %.100q has the time %d; times are in milliseconds, this one looks like %s", t.scanner.Spelling(), ms, unit)
	}
	from := len(t.text)
	t.text = append(t.text, s.Text...)
	if err := t.addLabels(from); err != nil {
		return err
	}
	t.text = append(t.text, ' ')
	t.text = exposition.AppendFloat(t.text, t.scanner.Value())
	t.text = append(t.text, ' ')
	t.text = append(exposition.AppendTimestamp(t.text, ms), '\n')
	t.lines = append(t.lines, textLine{int32(k), int32(t.home(s.Name)), from, len(t.text), ms, s.Group})
	return nil
}

// addLabels adds those of Labels that the series has not, whose text is the last.
func (t *Texts) addLabels(from int) error {
	bare := true
	for _, l := range t.Labels {
		if value, has := t.parser.Label(l.name); has && len(value) > 0 {
			continue
		}
		if bare {
			if bare = false; t.text[len(t.text)-1] == '}' {
				t.text[len(t.text)-1] = ','
			} else {
				t.text = append(t.text, '{')
			}
		}
		t.text = append(t.text, l.name...)
		t.text = append(t.text, `="`...)
		t.text = exposition.AppendLabelValue(t.text, l.value)
		t.text = append(t.text, `",`...)
	}
	if !bare {
		t.text[len(t.text)-1] = '}'
		if len(t.text)-from > exposition.DefaultLimits.SeriesBytes {
			return fmt.Errorf("series %.60q… has %d bytes with the labels that are set on all, the limit is %d", t.text[from:], len(t.text)-from, exposition.DefaultLimits.SeriesBytes)
		}
	}
	return nil
}

// write makes bodies of the lines.
func (t *Texts) write() {
	if !slices.IsSortedFunc(t.lines, byFamily) {
		slices.SortStableFunc(t.lines, byFamily)
	}
	for from := 0; from < len(t.lines); {
		to := from
		for to < len(t.lines) && t.lines[to].key == t.lines[from].key {
			to++
		}
		t.ofKey(t.key[t.lines[from].key], t.lines[from:to])
		from = to
	}
}

func byFamily(a, b textLine) int {
	if a.key != b.key {
		return int(a.key) - int(b.key)
	}
	return int(a.family) - int(b.family)
}

// ofKey makes bodies of the lines of one key.
func (t *Texts) ofKey(key string, lines []textLine) {
	samples, oldest, composite := 0, int64(math.MaxInt64), false
	finish := func() {
		if samples > 0 {
			t.ends = append(t.ends, len(t.body))
			if !slices.Equal(t.shape, t.before.Families) {
				t.before = wire.NewShape(t.shape)
			}
			b := wire.NewBody(key, t.body, t.ends, t.before)
			b.Samples, b.Composite, b.Oldest = samples, composite, oldest
			t.Bodies = append(t.Bodies, b)
		}
		t.body, t.ends, t.shape = t.body[:0], t.ends[:0], t.shape[:0]
		samples, oldest, composite = 0, math.MaxInt64, false
		t.claims.Reset()
	}
	open := int32(-1)
	for i := range lines {
		l := &lines[i]
		if len(t.body) >= bodyBytes && l.group != lines[i-1].group {
			finish()
			open = -1
		}
		if l.family != open {
			h := t.family[l.family]
			if t.asGauges {
				h.From, h.Kind = h.Kind, wire.Gauge
			}
			if !t.claims.Allow(h.Name, h.Kind) {
				finish()
			}
			if samples > 0 {
				t.ends = append(t.ends, len(t.body))
			}
			t.claims.Add(h.Name, h.Kind)
			t.shape = append(t.shape, h)
			composite = composite || h.Kind.Suffixes() != nil
			open = l.family
		}
		t.body = append(t.body, t.text[l.from:l.to]...)
		samples++
		oldest = min(oldest, l.ms)
	}
	finish()
}
