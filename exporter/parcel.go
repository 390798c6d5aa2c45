package exporter

import (
	"slices"
	"time"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/spool"
)

// parcel is one gateway's samples of one Submit on their way: the unit that is
// queued, sent, retried and rerouted. Whoever learns its fate releases it. The router's
// mutex guards what is not said before it is queued.
type parcel struct {
	key       string // of the ring; "" for no gateway
	samples   int
	composite bool       // see wire.Body
	oldest    int64      // the smallest timestamp of a sample, in ms; 0 if not known
	memory    int        // see size
	body      *wire.Body // nil when released

	seq          uint64 // place in the order of submission
	born         time.Time
	bytes        int      // see length
	lane         *lane    // the gateway's
	busy         bool     // in a request, or being written to disk
	before, next *parcel  // in the lane
	list         *backlog // in memory or on disk
	older, newer *parcel  // in the list
	ack          *receipt // who waits for it, or nil

	spilled bool // the body is on disk; here it is only while a request is made of it
	ref     spool.Ref
	unfit   bool    // too large for the disk
	bundle  bool    // the record has several parcels: see bundle.go
	from    int     // of those, how many are settled
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
	return &parcel{
		key: b.Key, samples: b.Samples, composite: b.Composite, oldest: b.Oldest,
		memory: parcelOverhead + b.Memory(), body: b,
	}
}

// parcelsOf appends the parcels of bodies.
func parcelsOf(dst []*parcel, bodies []*wire.Body) []*parcel {
	dst = slices.Grow(dst, len(bodies))
	for _, b := range bodies {
		dst = append(dst, newParcel(b))
	}
	return dst
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
