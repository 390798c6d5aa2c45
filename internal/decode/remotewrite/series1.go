package remotewrite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

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
	if named && m.err == nil {
		if value, ms, ok := oneSample(m.rest); ok && d.spell1(named) == nil { // as in nearly all requests
			return d.one(value, ms)
		}
	}
	var found content
	for from := m.rest; m.next(); from = m.rest {
		if m.number != 1 {
			found.note(&m, &d.layout, from)
		} else if err := d.label(&m, named); err != nil {
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

// oneSample reads a sample behind the labels of a series, if nothing is behind it.
func oneSample(b []byte) (value float64, ms int64, ok bool) {
	const field = 2<<3 | lengthFirst
	if len(b) < 13 || b[0] != field || int(b[1]) != len(b)-2 || b[2] != 1<<3|eightBytes || b[11] != 2<<3|variable {
		return 0, 0, false
	}
	n, size := binary.Uvarint(b[12:])
	return math.Float64frombits(binary.LittleEndian.Uint64(b[3:])), int64(n), size == len(b)-12
}

// one brings the only sample of a series whose text is spelled.
func (d *Decoder) one(value float64, ms int64) error {
	err := timed(ms)
	if err == nil {
		err = d.to.Sample(d.text, ms, value)
	}
	if err != nil {
		return d.refuse(1, err)
	}
	d.written.Samples++
	return nil
}

// begin begins a series whose first label is its name, and a classic one, as nearly always, with the labels behind it. Most have the same name
// as the one before.
func (d *Decoder) begin(m *message) bool {
	if len(d.rawName) == 0 || !bytes.HasPrefix(m.rest, d.rawName) {
		raw := m.rest
		if d.rawName = nil; !m.next() || !m.is(1, lengthFirst) {
			*m = message{rest: raw}
			return false
		}
		l, err := labelOf(m.data)
		if err != nil || string(l.Name) != nameLabel || !exposition.ValidMetricName(view(l.Value)) {
			*m = message{rest: raw}
			return false
		}
		d.rawName = raw[:len(raw)-len(m.rest)]
		d.head = append(append(d.head[:0], l.Value...), '{')
	} else {
		m.rest = m.rest[len(d.rawName):]
	}
	m.rest = d.pairs.Read(m.rest)
	return true
}

// label takes a label that is not as most are.
func (d *Decoder) label(m *message, named bool) error {
	if !m.is(1, lengthFirst) {
		return m.err
	}
	l, err := labelOf(m.data)
	switch {
	case err != nil:
		return err
	case len(l.Value) == 0: // the same as none
	case !named, string(l.Name) == nameLabel:
		d.labels = append(d.labels, l)
	default:
		d.pairs.Add(l.Name, l.Value)
	}
	return nil
}

// labelOf reads a label, whatever its fields.
func labelOf(b []byte) (l decode.Label, err error) {
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
		d.text = append(append(d.text[:0], d.head...), d.pairs.Text()...)
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
