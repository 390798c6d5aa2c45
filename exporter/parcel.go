package exporter

import (
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// parcel is one gateway's samples of one Submit on their way: the unit that is
// queued, sent, retried and rerouted. Whoever learns its fate releases it. The queue's
// mutex guards what is not said before it is queued.
type parcel struct {
	content
	place
	storage
}

// content is what a parcel holds.
type content struct {
	key       string // of the ring; "" for no gateway
	samples   int
	composite bool       // see wire.Body
	oldest    int64      // the smallest timestamp of a sample, in ms; 0 if not known
	memory    int        // see size
	body      *wire.Body // nil when released
}

// place is where a parcel is in the queue, and who waits for it.
type place struct {
	seq          uint64 // in the order of submission
	born         time.Time
	bytes        int      // see length
	lane         *lane    // the gateway's
	busy         bool     // in a request, or being written to disk
	before, next *parcel  // in the lane
	list         *backlog // in memory or on disk
	older, newer *parcel  // in the list
	ack          *receipt // who waits for it, or nil
}

// storage is where a parcel is on disk, alone or with others in a bundle: see run.go.
type storage struct {
	disk    any     // in the words of who wrote it, nil if it is in memory; there is a body only while a request is made of it
	unfit   bool    // too large for the disk
	from    int     // of the parcels of a bundle, how many are settled
	follows bool    // is to share the record of the one before it
	within  *parcel // whose record it shares
	of      *parcel // the bundle of which it is a part, in a request
}

// What managing a parcel takes, in bytes: the struct, the body's and a lane.
const (
	parcelOverhead  = 480
	spilledOverhead = 300 // of a parcel that is on disk
)

func newParcel(b *wire.Body) *parcel {
	return &parcel{content: content{
		key: b.Key, samples: b.Samples, composite: b.Composite, oldest: b.Oldest,
		memory: parcelOverhead + b.Memory(), body: b,
	}}
}

// newParcelOnDisk returns one that an earlier Run left at a place on disk.
func newParcelOnDisk(key string, born time.Time, samples, bytes int, composite bool, at any) *parcel {
	p := &parcel{}
	p.key, p.samples, p.composite = key, samples, composite
	p.born, p.bytes, p.disk = born, bytes, at
	p.unload()
	return p
}

// parcelsOf appends the parcels of bodies.
func parcelsOf(dst []*parcel, bodies []*wire.Body) []*parcel {
	dst = slices.Grow(dst, len(bodies))
	for _, b := range bodies {
		dst = append(dst, newParcel(b))
	}
	return dst
}

// onDisk reports whether the body is on disk.
func (p *parcel) onDisk() bool { return p.disk != nil }

// settled reports whether the fate of a parcel is known that was queued.
func (p *parcel) settled() bool { return p.list == nil }

// partOf makes p a part of a bundle, which stands for it in the queue.
func (p *parcel) partOf(bundle *parcel) {
	p.key, p.lane, p.of, p.disk = bundle.key, bundle.lane, bundle, bundle.disk
	p.composite, p.born = bundle.composite, bundle.born
}

// size is the memory that the parcel takes until it is released, in bytes,
// including what is kept to manage it.
func (p *parcel) size() int { return p.memory }

// length is how long a request with this parcel alone is, in bytes. One of
// several is no longer than their sum.
func (p *parcel) length() int { return p.body.Length() }

// release gives the memory back to the next parcels. It is called when the
// parcel's fate is known and nobody reads it any more; another call does nothing.
func (p *parcel) release() {
	if p.body != nil {
		p.body.Release()
		p.body = nil
	}
}

// unload frees the memory of a body that is on disk.
func (p *parcel) unload() {
	p.release()
	p.memory = spilledOverhead + len(p.key)
}
