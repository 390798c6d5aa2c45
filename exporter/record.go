package exporter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// recordVersion is the first number of a record. Another one means another
// layout.
const recordVersion = 1

var errRecord = errors.New("damaged record of a parcel")

// appendRecord appends what there is to know about the parcel beside its body, so
// that both can be stored and read back with readRecord. All numbers are varints:
// version, born in ns since the epoch, samples, composite, key, number of
// families, and for each of them its name, type, help and the length of its
// lines.
func (p *parcel) appendRecord(dst []byte) []byte {
	number := func(n int) { dst = binary.AppendUvarint(dst, uint64(n)) }
	text := func(s string) {
		number(len(s))
		dst = append(dst, s...)
	}
	number(recordVersion)
	dst = binary.AppendVarint(dst, p.born.UnixNano())
	number(p.samples)
	composite := 0
	if p.composite {
		composite = 1
	}
	number(composite)
	text(p.key)
	number(len(p.ends))
	start := 0
	for i, end := range p.ends {
		f := &p.shape.families[i]
		text(f.name)
		number(int(f.kind))
		text(f.help)
		number(end - start)
		start = end
	}
	return dst
}

// readRecord makes a parcel of a record and its body, which it copies. The error
// says that one of them is damaged or of another version.
func readRecord(record, body []byte) (*parcel, error) {
	r := recordReader{rest: record, limit: len(body)}
	if v := r.number(); v != recordVersion || r.failed {
		return nil, fmt.Errorf("read record: %w: version %d, want %d", errRecord, v, recordVersion)
	}
	born := time.Unix(0, r.signed())
	samples, composite, key := r.number(), r.number(), r.text()
	var families []header
	var ends []int
	end := 0
	for n := r.number(); n > 0 && !r.failed; n-- {
		name, k, help := r.text(), r.number(), r.text()
		end += r.number()
		if name == "" || k <= int(noKind) || k >= int(partOf) || end > len(body) {
			r.failed = true
			break
		}
		h := header{name, kind(k), help}
		families, ends = append(families, h), append(ends, end)
	}
	if r.failed || len(r.rest) > 0 || end != len(body) || samples == 0 || len(ends) == 0 {
		return nil, fmt.Errorf("read record of %d bytes with a body of %d: %w", len(record), len(body), errRecord)
	}
	p := newParcel(key, body, ends, newShape(families))
	p.born, p.samples, p.composite = born, samples, composite == 1
	return p, nil
}

// recordReader takes a record apart. Once it has failed all is zero.
type recordReader struct {
	rest   []byte
	limit  int // no number is larger: each counts bytes or lines of the body, or is small
	failed bool
}

func (r *recordReader) number() int {
	n, length := binary.Uvarint(r.rest)
	if length <= 0 || n > uint64(max(r.limit, len(r.rest))) || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[length:]
	return int(n)
}

func (r *recordReader) signed() int64 {
	n, length := binary.Varint(r.rest)
	if length <= 0 || r.failed {
		r.failed = true
		return 0
	}
	r.rest = r.rest[length:]
	return n
}

func (r *recordReader) text() string {
	n := r.number()
	if n > len(r.rest) {
		r.failed = true
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
