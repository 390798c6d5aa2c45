package remotewrite

import (
	"encoding/binary"
	"fmt"

	"github.com/hubring/hubring/internal/decode"
)

// exemplars walks those of a series.
type exemplars struct {
	message
	left int
	at   int64 // when the one in data was observed
	held bool  // it was not brought yet
}

// exemplarsOf brings the exemplars that were observed until a sample's time, or with the last sample all that are left: a sample has those
// that it is the first to count.
func (d *Decoder) exemplarsOf(e *exemplars, ms int64, last bool) error {
	for e.left > 0 {
		if !e.held {
			if !e.next() {
				return d.of(e.err)
			}
			if !e.is(d.layout.exemplars, lengthFirst) {
				continue
			}
			var err error
			if e.at, err = exemplarAt(e.data); err != nil {
				return d.of(err)
			}
			e.held = true
		}
		if e.at > ms && !last {
			return nil
		}
		e.left--
		e.held = false
		refused, broken := d.exemplar(e.data, e.at)
		if broken != nil {
			return d.of(broken)
		}
		if refused == nil {
			refused = d.to.Exemplar(d.message)
		}
		if refused == nil {
			d.written.Exemplars++
		} else if err := d.refuse(0, refused); err != nil {
			return err
		}
	}
	return nil
}

// loose brings the exemplars of a series that has no samples in its message, whose text is spelled, if there is a place for them.
func (d *Decoder) loose(series []byte, n int) error {
	to, takes := d.to.(decode.LooseSink)
	if !takes {
		d.written.Alone += n
		return nil
	}
	for m := (message{rest: series}); n > 0; n-- {
		for m.next() && !m.is(d.layout.exemplars, lengthFirst) {
		}
		at, err := exemplarAt(m.data)
		if err == nil {
			err = m.err
		}
		if err != nil {
			return d.of(err)
		}
		refused, broken := d.exemplar(m.data, at)
		if broken != nil {
			return d.of(broken)
		}
		if refused == nil {
			refused = to.Loose(d.text, at, d.message)
		}
		if refused == nil {
			d.written.Exemplars++
		} else if err := d.refuse(0, refused); err != nil {
			return err
		}
	}
	return nil
}

// exemplarAt is the time of an Exemplar.
func exemplarAt(b []byte) (ms int64, err error) {
	m := message{rest: b}
	for m.next() {
		if m.is(3, variable) {
			ms = int64(m.n)
		}
	}
	return ms, m.err
}

// The fields of io.prometheus.client.Exemplar, of a LabelPair and of google.protobuf.Timestamp.
const (
	exemplarLabel = 1<<3 | lengthFirst
	exemplarValue = 2<<3 | eightBytes
	exemplarTime  = 3<<3 | lengthFirst
	labelName     = 1<<3 | lengthFirst
	labelValue    = 2<<3 | lengthFirst
	timeSeconds   = 1<<3 | variable
	timeNanos     = 2<<3 | variable
)

// exemplar makes an io.prometheus.client.Exemplar in d.message, and returns why it cannot, or what is broken.
func (d *Decoder) exemplar(b []byte, ms int64) (refused, broken error) {
	d.message, d.refs = d.message[:0], d.refs[:0]
	value := uint64(0)
	m := message{rest: b}
	for m.next() {
		switch {
		case m.number == 1 && d.layout.created == 0: // a Label is as a LabelPair
			if m.is(1, lengthFirst) {
				_, m.err = labelOf(m.data)
				d.message = appendBytes(d.message, exemplarLabel, m.data)
			}
		case m.number == 1:
			d.gather(&m)
		case m.is(2, eightBytes):
			value = m.n
		}
	}
	if refused = d.appendPairs(); refused == nil && len(d.message) > d.SeriesBytes {
		refused = fmt.Errorf("an exemplar has %d bytes at least, the limit of a series is %d", len(d.message), d.SeriesBytes)
	}
	d.message = appendDouble(d.message, exemplarValue, value)
	if ms != 0 {
		d.message = appendTime(d.message, ms)
	}
	return refused, m.err
}

// appendPairs appends labels that are references to symbols.
func (d *Decoder) appendPairs() error {
	if len(d.refs)%2 != 0 {
		return errOdd
	}
	for i := 0; i < len(d.refs) && len(d.message) <= d.SeriesBytes; i += 2 {
		name, err := d.symbol(d.refs[i])
		if err != nil {
			return err
		}
		value, err := d.symbol(d.refs[i+1])
		if err != nil {
			return err
		}
		d.message = appendNumber(d.message, exemplarLabel, uint64(sized(len(name.text))+sized(len(value.text))))
		d.message = appendBytes(appendBytes(d.message, labelName, name.text), labelValue, value.text)
	}
	return nil
}

func appendBytes(dst []byte, field byte, b []byte) []byte {
	return append(binary.AppendUvarint(append(dst, field), uint64(len(b))), b...)
}

// appendTime appends a google.protobuf.Timestamp.
func appendTime(dst []byte, ms int64) []byte {
	seconds, rest := ms/1000, ms%1000
	if rest < 0 {
		seconds, rest = seconds-1, rest+1000
	}
	var b [2 * (1 + binary.MaxVarintLen64)]byte
	t := appendNumber(b[:0], timeSeconds, uint64(seconds))
	if rest != 0 {
		t = appendNumber(t, timeNanos, uint64(rest*1_000_000))
	}
	return appendBytes(dst, exemplarTime, t)
}
