package queue

import (
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/wire"
)

// Parcel is one gateway's samples of one Submit on their way: the unit that is
// queued, sent, retried and rerouted. Whoever learns its fate releases it. The queue's
// mutex guards what is not said before it is queued.
type Parcel struct {
	content
	place
	storage
}

// content is what a parcel holds.
type content struct {
	Key       string // of the ring; "" for no gateway
	Samples   int
	Composite bool       // see wire.Body
	Oldest    int64      // the smallest timestamp of a sample, in ms; 0 if not known
	memory    int        // see size
	Body      *wire.Body // nil when released
}

// place is where a parcel is in the queue, and who waits for it.
type place struct {
	seq          uint64 // in the order of submission
	Born         time.Time
	Bytes        int      // how long a request with it alone is; one of several is no longer than their sum
	Lane         *Lane    // the gateway's
	busy         bool     // in a request, or being written to disk
	before, next *Parcel  // in the lane
	list         *backlog // in memory or on disk
	older, newer *Parcel  // in the list
	ack          *Receipt // who waits for it, or nil
}

// storage is where a parcel is on disk, alone or with others in a bundle: see bundle.go.
type storage struct {
	Kept    any     // where on disk its copy is, while it is in memory as well, in the words of who wrote it
	Disk    any     // in the words of who wrote it, nil if it is in memory; there is a body only while a request is made of it
	Unfit   bool    // too large for the disk
	From    int     // of the parcels of a bundle, how many are settled
	follows bool    // is to share the record of the one before it
	Within  *Parcel // whose record it shares
	Of      *Parcel // the bundle of which it is a part, in a request
}

// What managing a parcel takes, in bytes: the struct, the body's and a lane.
const (
	parcelOverhead  = 480
	spilledOverhead = 320 // of a parcel that is on disk, with the record that it has there
)

func newParcel(b *wire.Body) *Parcel {
	return &Parcel{content: content{
		Key: b.Key, Samples: b.Samples, Composite: b.Composite, Oldest: b.Oldest,
		memory: parcelOverhead + b.Memory(), Body: b,
	}, place: place{Bytes: b.Length()}}
}

// NewParcelOnDisk returns one that an earlier Run left at a place on disk.
func NewParcelOnDisk(key string, born time.Time, samples, bytes int, composite bool, at any) *Parcel {
	p := &Parcel{}
	p.Key, p.Samples, p.Composite = key, samples, composite
	p.Born, p.Bytes, p.Disk = born, bytes, at
	p.unload()
	return p
}

// ParcelsOf appends the parcels of bodies.
func ParcelsOf(dst []*Parcel, bodies []*wire.Body) []*Parcel {
	dst = slices.Grow(dst, len(bodies))
	for _, b := range bodies {
		dst = append(dst, newParcel(b))
	}
	return dst
}

// OnDisk reports whether the body is on disk, and not in memory.
func (p *Parcel) OnDisk() bool { return p.Disk != nil }

// Record returns where on disk the parcel is, in memory as well or not, or nil.
func (p *Parcel) Record() any {
	if p.Disk != nil {
		return p.Disk
	}
	return p.Kept
}

// Settled reports whether the fate of a parcel is known that was queued.
func (p *Parcel) Settled() bool { return p.list == nil }

// PartOf makes p a part of a bundle, which stands for it in the queue.
func (p *Parcel) PartOf(bundle *Parcel) {
	p.Key, p.Lane, p.Of, p.Disk = bundle.Key, bundle.Lane, bundle, bundle.Disk
	p.Composite, p.Born = bundle.Composite, bundle.Born
}

// size is the memory that the parcel takes until it is released, in bytes,
// including what is kept to manage it.
func (p *Parcel) size() int { return p.memory }

// Release gives the memory back to the next parcels. It is called when the
// parcel's fate is known and nobody reads it any more; another call does nothing.
func (p *Parcel) Release() {
	if p.Body != nil {
		p.Body.Release()
		p.Body = nil
	}
}

// unload frees the memory of a body that is on disk.
func (p *Parcel) unload() {
	p.Release()
	p.memory = spilledOverhead + len(p.Key)
}
