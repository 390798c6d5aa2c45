package remotewrite

import (
	"errors"
	"fmt"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// request1 reads a message of version 1.0.
func (d *Decoder) request1(body []byte) error {
	m := message{rest: body}
	for m.next() {
		switch {
		case m.is(1, lengthFirst):
			d.number++
			if err := d.series1(m.data); err != nil {
				return err
			}
		case m.is(3, lengthFirst):
			if err := d.family(m.data); err != nil {
				return err
			}
		case m.number == 4, m.number == 5: // reserved in 1.0 for this
			return errors.New("the message seems to be of version 2.0; its Content-Type is application/x-protobuf;proto=io.prometheus.write.v2.Request")
		}
	}
	return m.err
}

// series1 brings a TimeSeries.
func (d *Decoder) series1(series []byte) error {
	m := message{rest: series}
	d.labels = d.labels[:0]
	named := d.begin(&m)
	var found content
	for {
		if named {
			d.text, m.rest = appendShort(d.text, m.rest)
		}
		from := m.rest
		if !m.next() {
			break
		}
		if m.number != 1 {
			found.note(&m, &d.layout, from)
			continue
		}
		if err := d.label(&m, named); err != nil {
			return d.of(err)
		}
	}
	if m.err != nil {
		return d.of(m.err)
	}
	if found.values() == 0 && found.exemplars == 0 {
		return nil
	}
	if err := d.spell1(named); err != nil {
		d.written.Alone += found.exemplars
		return d.refuse(found.values(), err)
	}
	if found.values() == 0 {
		return d.loose(series, found.exemplars)
	}
	return d.bring(series, &found)
}

// begin begins a series' text where its first label is its name, and a classic one, as nearly always. Then other labels are
// appended as they come.
func (d *Decoder) begin(m *message) bool {
	name, value, rest := shortLabel(m.rest)
	if string(name) != nameLabel || !exposition.ValidMetricName(view(value)) {
		return false
	}
	d.text = append(append(d.text[:0], value...), '{')
	m.rest = rest
	return true
}

// label takes a label that is not as most are.
func (d *Decoder) label(m *message, named bool) error {
	if !m.is(1, lengthFirst) {
		return m.err
	}
	l, err := longLabel(m.data)
	switch {
	case err != nil:
		return err
	case len(l.Value) == 0: // the same as none
	case !named, string(l.Name) == nameLabel:
		d.labels = append(d.labels, l)
	default:
		d.text = decode.AppendLabel(d.text, l.Name, l.Value)
	}
	return nil
}

// The bytes in front of a label and its parts.
const (
	labelField = 1<<3 | lengthFirst
	nameField  = 1<<3 | lengthFirst
	valueField = 2<<3 | lengthFirst
)

// shortLabel takes a label off the front of a series, if it is as nearly all are: the name first, one byte for each length. The value
// is behind the name and two bytes.
func shortLabel(b []byte) (name, value, rest []byte) {
	if len(b) < 6 || b[0] != labelField || b[1] >= 0x80 || b[2] != nameField || b[3] >= 0x80 {
		return nil, nil, nil
	}
	end, n := 2+int(b[1]), 4+int(b[3])
	if end > len(b) || n+2 > end || b[n] != valueField || b[n+1] >= 0x80 || n+2+int(b[n+1]) != end {
		return nil, nil, nil
	}
	return b[4:n], b[n+2 : end], b[end:]
}

// appendShort appends the labels at the front of a series that need neither quotes nor escapes, and returns what is behind them.
func appendShort(dst, b []byte) (text, rest []byte) {
	for {
		name, value, rest := shortLabel(b)
		if len(value) == 0 || string(name) == nameLabel || !exposition.ValidLabelName(view(name)) || !plain(value) {
			return dst, b
		}
		// The two bytes between them make room for two others.
		at := len(dst) + len(name)
		dst = append(dst, b[4:4+len(name)+2+len(value)]...)
		dst[at], dst[at+1] = '=', '"'
		dst = append(dst, '"', ',')
		b = rest
	}
}

// longLabel reads any other one.
func longLabel(b []byte) (l decode.Label, err error) {
	m := message{rest: b}
	for m.next() {
		switch {
		case m.is(1, lengthFirst):
			l.Name = m.data
		case m.is(2, lengthFirst):
			l.Value = m.data
		}
	}
	return l, m.err
}

// spell1 ends the text of a series, or spells all of its labels where the name was not the first.
func (d *Decoder) spell1(named bool) error {
	if named {
		if len(d.labels) > 0 {
			return errTwoNames
		}
		if end := len(d.text) - 1; d.text[end] == '{' {
			d.text = d.text[:end]
		} else {
			d.text[end] = '}'
		}
		return d.fits()
	}
	var name []byte
	n := 0
	for _, l := range d.labels {
		switch {
		case string(l.Name) != nameLabel:
			d.labels[n] = l
			n++
		case name != nil:
			return errTwoNames
		default:
			name = l.Value
		}
	}
	if name == nil {
		return errNoName
	}
	d.text = decode.AppendSeries(d.text[:0], name, d.labels[:n])
	return d.fits()
}

func (d *Decoder) fits() error {
	if len(d.text) > d.SeriesBytes {
		return fmt.Errorf("it has %d bytes at least, the limit is %d: %.60q…", len(d.text), d.SeriesBytes, d.text)
	}
	return nil
}
