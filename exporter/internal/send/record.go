package send

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/spool"
)

// A parcel on disk is a record of two parts. All numbers in them are unsigned
// varints, and a text is its length and its bytes:
//
//	meta:  born in ms since the epoch, samples, bytes, composite (0 or 1; 2 more for a bundle), key
//	body:  number of families; of each its type (one byte), name, help, and where
//	       in the lines it ends; then the lines. Of a bundle: of each parcel its samples, the
//	       length of its body, and that
//
// The meta part is what a queue of parcels needs to know, and is read at a start.

// record is where a parcel is on disk.
type record struct {
	ref    spool.Ref
	bundle bool // it has several parcels: see bundle.go
}

// recordOf returns that of a parcel that is on disk.
func recordOf(p *queue.Parcel) *record { return p.Disk.(*record) }

// isBundle reports whether a parcel stands for several on disk, and is none of these.
func isBundle(p *queue.Parcel) bool { return p.OnDisk() && p.Of == nil && recordOf(p).bundle }

// bundled says in a record's meta that it has several parcels.
const bundled = 2

// heading is what is needed of a parcel to queue it.
type heading struct {
	key               string
	born              time.Time
	samples, bytes    int
	composite, bundle bool
}

func headingOf(p *queue.Parcel) heading {
	return heading{key: p.Key, born: p.Born, samples: p.Samples, bytes: p.Bytes, composite: p.Composite}
}

// appendMeta writes a heading.
func appendMeta(dst []byte, h heading) []byte {
	dst = binary.AppendUvarint(dst, uint64(h.born.UnixMilli()))
	dst = binary.AppendUvarint(dst, uint64(h.samples))
	dst = binary.AppendUvarint(dst, uint64(h.bytes))
	flags := byte(0)
	if h.composite {
		flags = 1
	}
	if h.bundle {
		flags |= bundled
	}
	dst = append(dst, flags)
	return append(dst, h.key...)
}

// readMeta reads a heading.
func readMeta(meta []byte) (heading, error) {
	r := reader{rest: meta}
	h := heading{
		born:    time.UnixMilli(int64(r.number())),
		samples: int(r.number()),
		bytes:   int(r.number()),
	}
	flags := r.bytes(1)[0]
	h.composite, h.bundle = flags&1 != 0, flags&bundled != 0
	h.key = string(r.rest)
	if r.bad || h.samples <= 0 || h.bytes <= 0 {
		return heading{}, errRecord
	}
	return h, nil
}

// parcelAt returns the parcel of a record, which has nothing of its body yet.
func parcelAt(ref spool.Ref, h heading) *queue.Parcel {
	return queue.NewParcelOnDisk(h.key, h.born, h.samples, h.bytes, h.composite, &record{ref, h.bundle})
}

// appendBody writes the shape and the text of a parcel.
func appendBody(dst []byte, p *queue.Parcel) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(p.Body.Shape.Families)))
	for i, f := range p.Body.Shape.Families {
		dst = append(dst, byte(f.Kind))
		for _, text := range []string{f.Name, f.Help} {
			dst = binary.AppendUvarint(dst, uint64(len(text)))
			dst = append(dst, text...)
		}
		dst = binary.AppendUvarint(dst, uint64(p.Body.Ends[i]))
	}
	return append(dst, p.Body.Text...)
}

// readBody fills in what unload took away.
func readBody(record []byte, p *queue.Parcel) error {
	r := reader{rest: record}
	n := r.number()
	if n > uint64(len(record)) {
		return errRecord
	}
	families, ends := make([]wire.Header, n), make([]int, n)
	last := 0
	for i := range families {
		f := &families[i]
		f.Kind = wire.Kind(r.bytes(1)[0])
		f.Name = string(r.bytes(r.number()))
		f.Help = string(r.bytes(r.number()))
		ends[i] = int(r.number())
		if !f.Kind.Valid() || ends[i] < last {
			return errRecord
		}
		last = ends[i]
	}
	if r.bad || last != len(r.rest) {
		return errRecord
	}
	if p.Oldest == 0 { // an earlier Run wrote it
		p.Oldest = oldestIn(r.rest)
	}
	p.Body = &wire.Body{
		Key: p.Key, Text: r.rest, Ends: ends, Shape: wire.NewShape(families),
		Samples: p.Samples, Composite: p.Composite, Oldest: p.Oldest,
	}
	return nil
}

// oldestIn returns the smallest timestamp in the text of a parcel. Each line has one, at
// its end.
func oldestIn(text []byte) int64 {
	oldest := int64(queue.NoTime)
	for line := range bytes.Lines(text) {
		at := bytes.LastIndexByte(line, ' ')
		if stamp, err := strconv.ParseInt(string(bytes.TrimSuffix(line[at+1:], []byte{'\n'})), 10, 64); err == nil {
			oldest = min(oldest, stamp)
		}
	}
	return oldest
}

var errRecord = errors.New("the record's contents make no sense")

// reader takes apart what was written. After the first fault all it returns is
// zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) number() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.rest, r.bad = nil, true
		return make([]byte, 1)
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}
