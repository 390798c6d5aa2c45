package remotewrite

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/hubring/hubring/internal/decode"
)

// content is what a series has besides labels.
type content struct {
	samples, histograms, exemplars int
	from                           []byte // where the first sample or histogram stands
	created                        int64  // since when it counts, where samples do not say it
	metadata                       []byte
}

// values are what a sink is brought one by one.
func (c *content) values() int { return c.samples + c.histograms }

// note counts a field, which begins with the bytes that are given.
func (c *content) note(m *message, l *layout, from []byte) {
	switch {
	case m.is(l.samples, lengthFirst):
		c.samples++
	case m.is(l.histograms, lengthFirst):
		c.histograms++
	case m.is(l.exemplars, lengthFirst):
		c.exemplars++
	case m.is(l.metadata, lengthFirst):
		c.metadata = m.data
	case m.number == l.created && m.wire == variable: // which is reserved by now
		c.created = int64(m.n)
	}
	if c.from == nil && c.values() > 0 {
		c.from = from
	}
}

// bring brings what a series has, whose text is spelled.
func (d *Decoder) bring(series []byte, has *content) error {
	exemplars := exemplars{message: message{rest: series}, left: has.exemplars}
	left := has.values()
	m := message{rest: has.from}
	for left > 0 && m.next() {
		var ms, start int64
		var err error
		switch {
		case m.is(d.layout.samples, lengthFirst):
			var value float64
			if value, ms, start, err = sample(m.data); err != nil {
				return d.of(err)
			}
			if err = timed(ms); err == nil {
				err = d.to.Sample(d.text, ms, value)
			}
			if err == nil {
				d.written.Samples++
			}
		case m.is(d.layout.histograms, lengthFirst):
			var broken error
			if ms, start, err, broken = d.histogram(m.data); broken != nil {
				return d.of(broken)
			}
			if err == nil {
				err = d.to.Histogram(d.text, ms, d.message)
			}
			if err == nil {
				d.written.Histograms++
			}
		default:
			continue
		}
		left--
		if err != nil {
			if err := d.refuse(1, err); err != nil {
				return err
			}
			continue
		}
		if start == 0 {
			start = has.created
		}
		if start != 0 && d.layout.created != 0 {
			if err := d.to.Start(start); err != nil {
				if err := d.refuse(0, err); err != nil {
					return err
				}
			}
		}
		if exemplars.left > 0 {
			if err := d.exemplarsOf(&exemplars, ms, left == 0); err != nil {
				return err
			}
		}
	}
	d.written.Alone += exemplars.left
	return nil
}

// sample reads a Sample. What is 0 is left out of the message.
func sample(b []byte) (value float64, ms, start int64, err error) {
	if len(b) > 10 && b[0] == 1<<3|eightBytes && b[9] == 2<<3|variable { // as nearly all of them are
		if n, size := binary.Uvarint(b[10:]); size == len(b)-10 {
			return math.Float64frombits(binary.LittleEndian.Uint64(b[1:])), int64(n), 0, nil
		}
	}
	m := message{rest: b}
	for m.next() {
		switch {
		case m.is(1, eightBytes):
			value = math.Float64frombits(m.n)
		case m.is(2, variable):
			ms = int64(m.n)
		case m.number == 3 && m.wire == variable: // which only 2.0 has
			start = int64(m.n)
		}
	}
	return value, ms, start, m.err
}

// timed refuses the one time that is no time to a sink.
func timed(ms int64) error {
	if ms == decode.NoTime {
		return errors.New("the time of a sample is the least that there is")
	}
	return nil
}
