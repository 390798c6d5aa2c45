package decode

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Pairs makes text of labels that are pairs in protobuf: field 1 of a message, each with a name, 1, and a value, 2. That is how an
// io.prometheus.client.Metric has them, and a prometheus.TimeSeries.
//
// Successive series share most of their labels. So what has the same bytes as in the series before keeps its text: the pairs in front of
// the first that is another one, and those behind it if they are all the same. It is for one goroutine.
type Pairs struct {
	raw   []byte // the pairs that were read, as they came
	ends  []pairEnd
	text  []byte // of these, and of labels that were added
	other []byte // scratch space
}

// pairEnd is where a pair ends, in raw and in text.
type pairEnd struct{ raw, text int }

const (
	maxPairs     = 1 << 10 // of a series, that are noted
	maxKeptPairs = 64 << 10
)

// Text has the labels of the series that was read last, each with a comma behind it. It is valid until the next Read.
func (p *Pairs) Text() []byte { return p.text }

// Add adds a label to the series that was read last.
func (p *Pairs) Add(name, value []byte) { p.text = AppendLabel(p.text, name, value) }

// Read reads the pairs at the front of a series' message, and returns what is behind them. It stops in front of one that is unusual: with
// other fields or in another order, without a name or a value, or called __name__. The message is referred to until Release.
func (p *Pairs) Read(message []byte) (rest []byte) {
	p.text = p.text[:p.end(len(p.ends)).text]
	n := p.same(message)
	if n < len(p.ends) && p.replace(n, message) {
		n = len(p.ends)
	}
	at := p.end(n)
	p.ends, p.text = p.ends[:n], p.text[:at.text]
	for len(p.ends) < maxPairs {
		name, value, size := cutPair(message[at.raw:])
		if size == 0 {
			break
		}
		p.Add(name, value)
		at = pairEnd{at.raw + size, len(p.text)}
		p.ends = append(p.ends, at)
	}
	p.raw = message[:at.raw]
	return message[at.raw:]
}

// Release lets the last message go, and space that one of a usual size does not need.
func (p *Pairs) Release() {
	if cap(p.text)+cap(p.other) > maxKeptPairs {
		*p = Pairs{}
	}
	p.raw, p.ends, p.text = nil, p.ends[:0], p.text[:0]
}

// end is where the first n pairs end.
func (p *Pairs) end(n int) pairEnd {
	if n == 0 {
		return pairEnd{}
	}
	return p.ends[n-1]
}

// same is how many pairs at the front of a message are the same as those of the series before.
func (p *Pairs) same(message []byte) (n int) {
	size := samePrefix(message, p.raw)
	for n < len(p.ends) && p.ends[n].raw <= size {
		n++
	}
	return n
}

// replace reads pair n, if those behind it are the same as in the series before.
func (p *Pairs) replace(n int, message []byte) bool {
	from, to := p.end(n), p.ends[n]
	name, value, size := cutPair(message[from.raw:])
	if size == 0 || !bytes.HasPrefix(message[from.raw+size:], p.raw[to.raw:]) {
		return false
	}
	p.other = AppendLabel(p.other[:0], name, value)
	p.text = slices.Replace(p.text, from.text, to.text, p.other...)
	raw, text := from.raw+size-to.raw, from.text+len(p.other)-to.text
	if raw == 0 && text == 0 {
		return true
	}
	for i := range p.ends[n:] {
		e := &p.ends[n+i]
		*e = pairEnd{e.raw + raw, e.text + text}
	}
	return true
}

// samePrefix is how many bytes at the front of a and b are the same.
func samePrefix(a, b []byte) (n int) {
	most := min(len(a), len(b))
	for ; n+8 <= most; n += 8 {
		if other := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); other != 0 {
			return n + bits.TrailingZeros64(other)/8
		}
	}
	for n < most && a[n] == b[n] {
		n++
	}
	return n
}

// How the fields of a pair begin.
const (
	pairField  = 1<<3 | 2
	nameField  = 1<<3 | 2
	valueField = 2<<3 | 2
)

// cutPair takes the pair at the front of a message, and says how many bytes it has, or none where it is unusual.
func cutPair(b []byte) (name, value []byte, size int) {
	if len(b) > 4 && b[0] == pairField && b[1] < 0x80 && b[2] == nameField { // each length has one byte, in nearly all
		size = 2 + int(b[1])
		at := 4 + int(b[3]) // where the value's field begins
		if at+2 < size && size <= len(b) && b[at] == valueField && at+2+int(b[at+1]) == size && at > 4 {
			name, value = b[4:at], b[at+2:size]
		}
	}
	if name == nil {
		name, value, size = cutLongPair(b)
	}
	if string(name) == "__name__" {
		return nil, nil, 0
	}
	return name, value, size
}

func cutLongPair(b []byte) (name, value []byte, size int) {
	pair, size := cutField(b, pairField)
	name, n := cutField(pair, nameField)
	value, m := cutField(pair[n:], valueField)
	if len(name) == 0 || len(value) == 0 || n+m != len(pair) {
		return nil, nil, 0
	}
	return name, value, size
}

// cutField takes the field at the front of a message, if it is the one that is wanted.
func cutField(b []byte, field byte) (data []byte, size int) {
	if len(b) < 2 || b[0] != field {
		return nil, 0
	}
	n, prefix := uint64(b[1]), 1
	if n >= 0x80 {
		n, prefix = binary.Uvarint(b[1:])
	}
	if size = 1 + prefix; prefix <= 0 || n > uint64(len(b)-size) {
		return nil, 0
	}
	return b[size : size+int(n)], size + int(n)
}
