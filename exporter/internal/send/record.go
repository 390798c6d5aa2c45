package send

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/framing"
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
	r := framing.Reader{Rest: meta}
	h := heading{
		born:    time.UnixMilli(int64(r.Uvarint())),
		samples: int(r.Uvarint()),
		bytes:   int(r.Uvarint()),
	}
	flags := r.Byte()
	h.composite, h.bundle = flags&1 != 0, flags&bundled != 0
	h.key = string(r.Rest)
	if r.Bad || h.samples <= 0 || h.bytes <= 0 {
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
	r := framing.Reader{Rest: record}
	n := r.Uvarint()
	if n > uint64(len(record)) {
		return errRecord
	}
	families, ends := make([]wire.Header, n), make([]int, n)
	last := 0
	for i := range families {
		f := &families[i]
		f.Kind = wire.Kind(r.Byte())
		f.Name = string(r.Text())
		f.Help = string(r.Text())
		ends[i] = int(r.Uvarint())
		if !f.Kind.Valid() || ends[i] < last {
			return errRecord
		}
		last = ends[i]
	}
	if r.Bad || last != len(r.Rest) {
		return errRecord
	}
	if p.Oldest == 0 { // an earlier Run wrote it
		p.Oldest = oldestIn(r.Rest)
	}
	p.Body = &wire.Body{
		Key: p.Key, Text: r.Rest, Ends: ends, Shape: wire.NewShape(families),
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
