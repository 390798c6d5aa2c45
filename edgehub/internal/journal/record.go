package journal

import (
	"encoding/binary"
	"math"

	"github.com/hubring/hubring/internal/framing"
)

// Kind is what a record is.
type Kind uint8

// The kinds of records.
const (
	begins       Kind = iota + 1 // a segment
	Names                        // of series, gateways and families
	Samples                      // of a push
	Firsts                       // samples that the log wrote itself when gateways came
	Ends                         // markers of the series of a gateway that ended
	packedPushes                 // Samples of many, which Replay brings one by one
)

// shortValues is in the kind of a record on disk whose values take no more bytes than they need.
const shortValues = 0x80

// metaBytes is the length of each record's meta.
const metaBytes = 1 + 8 + 8 + 4 + 8 + 8

// meta is what is said of a record before its body, and with a checksum of its own.
type meta struct {
	kind           Kind
	short          bool // its values are, as they are since version 3
	position       uint64
	arrival        int64 // milliseconds since the epoch
	samples        uint32
	oldest, newest int64 // times of the samples
}

func (m *meta) append(dst []byte) []byte {
	kind := byte(m.kind)
	if m.short {
		kind |= shortValues
	}
	dst = append(dst, kind)
	dst = binary.LittleEndian.AppendUint64(dst, m.position)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.arrival))
	dst = binary.LittleEndian.AppendUint32(dst, m.samples)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(m.oldest))
	return binary.LittleEndian.AppendUint64(dst, uint64(m.newest))
}

func parseMeta(b []byte) (m meta, ok bool) {
	if len(b) != metaBytes {
		return meta{}, false
	}
	m.kind, m.short = Kind(b[0]&^shortValues), b[0]&shortValues != 0
	m.position = binary.LittleEndian.Uint64(b[1:])
	m.arrival = int64(binary.LittleEndian.Uint64(b[9:]))
	m.samples = binary.LittleEndian.Uint32(b[17:])
	m.oldest = int64(binary.LittleEndian.Uint64(b[21:]))
	m.newest = int64(binary.LittleEndian.Uint64(b[29:]))
	// So that sums of positions and samples stay what they are.
	return m, m.kind >= begins && m.kind <= packedPushes && m.position < 1<<62
}

// appendTimes appends times, as runs of one time, and returns the least and the greatest.
func appendTimes(dst []byte, times []int64) (out []byte, oldest, newest int64) {
	before := int64(0)
	for i := 0; i < len(times); {
		from, t := i, times[i]
		for i++; i < len(times) && times[i] == t; i++ {
		}
		if from == 0 {
			oldest, newest = t, t
		}
		oldest, newest = min(oldest, t), max(newest, t)
		dst = binary.AppendVarint(dst, t-before)
		dst = binary.AppendUvarint(dst, uint64(i-from))
		before = t
	}
	return dst, oldest, newest
}

// reader takes a body apart.
type reader struct{ framing.Reader }

func appendBytes[T string | []byte](dst []byte, b T) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// columns reads the samples of a record that has such a meta, and nothing must be left.
func (r *reader) columns(rec *Record, m *meta) {
	n, least := int(m.samples), uint64(m.samples)*wide
	if m.short {
		least = uint64(groups(n))
	}
	if least > uint64(len(r.Rest)) { // before anything is allocated
		r.Bad = true
		return
	}
	rec.Locals, rec.Times, rec.Values = resize(rec.Locals, n), resize(rec.Times, n), resize(rec.Values, n)
	for i := 0; i < n && !r.Bad; {
		first, count := r.Uvarint(), r.Uvarint()
		if count == 0 || count > uint64(n-i) || first > math.MaxUint32-count {
			r.Bad = true
			return
		}
		run := rec.Locals[i : i+int(count)]
		for k := range run {
			run[k] = uint32(first) + uint32(k)
		}
		i += int(count)
	}
	before := int64(0)
	for i := 0; i < n && !r.Bad; {
		t, count := before+r.Varint(), r.Uvarint()
		if count == 0 || count > uint64(n-i) {
			r.Bad = true
			return
		}
		run := rec.Times[i : i+int(count)]
		for k := range run {
			run[k] = t
		}
		i += int(count)
		before = t
	}
	if m.short {
		r.values(rec.Values)
		return
	}
	if len(r.Rest) != wide*n {
		r.Bad = true
		return
	}
	for i := range rec.Values {
		rec.Values[i] = math.Float64frombits(binary.LittleEndian.Uint64(r.Rest[wide*i:]))
	}
	r.Rest = nil
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
