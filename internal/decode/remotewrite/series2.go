package remotewrite

import (
	"errors"
	"fmt"
	"math"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// symbol is a text of a request, and what was made of it.
type symbol struct {
	text  []byte
	label []byte // as the name of a label, with ="
	value []byte // as the value of one
	// what was said of the family that it names
	kind, help uint64
}

const (
	maxRef       = math.MaxUint32
	symbolBytes  = 96
	freeSymbols  = 16 << 10 // that do not count as memory
	freeSpelling = 1 << 20  // likewise, in bytes
)

var (
	errOdd = errors.New("it has a name of a label without a value")
	errV1  = errors.New("the message seems to be of version 1.0; its Content-Type is application/x-protobuf")
)

// request2 reads a message of version 2.0.
func (d *Decoder) request2(body []byte) error {
	if err := d.readSymbols(body); err != nil {
		return err
	}
	m := message{rest: body}
	for m.next() {
		if m.is(5, lengthFirst) {
			d.number++
			if err := d.series2(m.data); err != nil {
				return err
			}
		}
	}
	return m.err
}

// readSymbols notes the symbols, which may stand behind the series.
func (d *Decoder) readSymbols(body []byte) error {
	d.symbols, d.spelled = d.symbols[:0], d.spelled[:0]
	m := message{rest: body}
	for m.next() {
		switch {
		case m.is(4, lengthFirst):
			if n := len(d.symbols); n == cap(d.symbols) && n >= freeSymbols {
				if err := d.room(n * symbolBytes); err != nil {
					return err
				}
			}
			d.symbols = append(d.symbols, symbol{text: m.data})
		case m.number == 1, m.number == 3: // reserved in 2.0 for this
			return errV1
		}
	}
	return m.err
}

// room asks for memory.
func (d *Decoder) room(bytes int) error {
	if err := d.Room(bytes); err != nil {
		return &decode.BrokenError{Err: err}
	}
	return nil
}

// symbol is the one of a reference.
func (d *Decoder) symbol(ref uint32) (*symbol, error) {
	if int(ref) >= len(d.symbols) {
		return nil, fmt.Errorf("there is no symbol %d, but %d of them", ref, len(d.symbols))
	}
	return &d.symbols[ref], nil
}

// series2 brings a TimeSeries.
func (d *Decoder) series2(series []byte) error {
	d.refs = d.refs[:0]
	var found content
	m := message{rest: series}
	for from := m.rest; m.next(); from = m.rest {
		if m.number == 1 {
			d.gather(&m)
		} else {
			found.note(&m, &d.layout, from)
		}
	}
	if m.err != nil {
		return d.of(m.err)
	}
	if found.values() == 0 && len(found.metadata) == 0 && found.exemplars == 0 {
		return nil
	}
	name, err := d.spell2()
	if err != nil {
		d.written.Alone += found.exemplars
		return d.refuse(found.values(), err)
	}
	if found.values() == 0 {
		err = d.loose(series, found.exemplars)
	} else {
		err = d.bring(series, &found)
	}
	if err != nil || len(found.metadata) == 0 {
		return err
	}
	return d.sayOf(name, &found)
}

// gather adds references, packed or not. More than a series may have bytes are not wanted.
func (d *Decoder) gather(m *message) {
	switch {
	case len(d.refs) > d.SeriesBytes: // one more is too many
	case m.wire == variable:
		d.refs = append(d.refs, uint32(min(m.n, maxRef)))
	case m.wire == lengthFirst:
		refs := d.refs
		for packed := m.data; len(packed) > 0 && len(refs) <= d.SeriesBytes; {
			n, size := uvarint(packed)
			if size == 0 {
				m.fail(errCut)
				return
			}
			refs, packed = append(refs, uint32(min(n, maxRef))), packed[size:]
		}
		d.refs = refs
	default:
		m.fail(errField)
	}
}

// spell2 spells the series of the references, and returns the symbol of its name.
func (d *Decoder) spell2() (name *symbol, err error) {
	if len(d.refs) > d.SeriesBytes {
		return nil, fmt.Errorf("it has more labels than there are bytes for a series, which are %d", d.SeriesBytes)
	}
	if len(d.refs)%2 != 0 {
		return nil, errOdd
	}
	at := 0
	for i := 0; i < len(d.refs); i += 2 {
		s, err := d.symbol(d.refs[i])
		if err != nil {
			return nil, err
		}
		if string(s.text) != nameLabel {
			continue
		}
		value, err := d.symbol(d.refs[i+1])
		switch {
		case err != nil:
			return nil, err
		case len(value.text) == 0:
		case name != nil:
			return nil, errTwoNames
		default:
			name, at = value, i
		}
	}
	if name == nil {
		return nil, errNoName
	}
	d.text = decode.AppendSeries(d.text[:0], name.text, nil)
	if d.text[0] == '{' {
		d.text[len(d.text)-1] = ','
	} else {
		d.text = append(d.text, '{')
	}
	bare := len(d.text)
	for i := 0; i < len(d.refs) && len(d.text) <= d.SeriesBytes; i += 2 {
		if i == at {
			continue
		}
		value, err := d.symbol(d.refs[i+1])
		if err != nil {
			return nil, err
		}
		if len(value.text) == 0 { // the same as no label
			continue
		}
		label := &d.symbols[d.refs[i]]
		if label.label == nil || value.value == nil {
			if err := d.spellPair(label, value); err != nil {
				return nil, err
			}
		}
		d.text = append(append(d.text, label.label...), value.value...)
		d.text = append(d.text, `",`...)
	}
	switch {
	case len(d.text) > bare || d.text[0] == '{':
		d.text = decode.CloseSeries(d.text)
	default:
		d.text = d.text[:bare-1]
	}
	if d.texts += len(d.text); d.texts > d.TextBytes {
		return nil, &decode.BrokenError{Err: ErrTooLarge}
	}
	return name, d.fits()
}

// spellPair spells what is not spelled yet, of texts that are not too long for a series.
func (d *Decoder) spellPair(label, value *symbol) error {
	for _, s := range [...]*symbol{label, value} {
		if len(s.text) > d.SeriesBytes {
			return fmt.Errorf("a label has %d bytes, the limit of a series is %d: %.60q…", len(s.text), d.SeriesBytes, s.text)
		}
	}
	if label.label == nil {
		from := len(d.spelled)
		d.spelled = append(exposition.AppendLabelName(d.spelled, view(label.text)), `="`...)
		label.label = d.spelled[from:len(d.spelled):len(d.spelled)]
	}
	if value.value == nil {
		value.value = value.text
		if !exposition.IsPlain(value.text) {
			from := len(d.spelled)
			d.spelled = exposition.AppendLabelValue(d.spelled, view(value.text))
			value.value = d.spelled[from:len(d.spelled):len(d.spelled)]
		}
	}
	if more := len(d.spelled) - freeSpelling - d.roomText; more > 0 {
		more = max(more, freeSpelling)
		d.roomText += more
		return d.room(more)
	}
	return nil
}
