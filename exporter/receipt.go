package exporter

import (
	"github.com/hubring/hubring/exporter/internal/reason"
)

// receipt is what a Push waits for: the fate of each of its parcels. The router's
// mutex guards it until done is closed. A nil one is nobody's.
type receipt struct {
	left    int           // parcels whose fate is not known
	samples int           // of those
	refused func(refusal) // is told with the mutex
	notSent int           // samples
	done    chan struct{}
}

// refusal is what a hub said of a parcel that it refused.
type refusal struct {
	gateway     string
	samples     int
	why         reason.Reason
	hub, detail string
}

// newReceipt returns one that says what hubs refuse.
func newReceipt(parcels []*parcel, refused func(refusal)) *receipt {
	r := &receipt{left: len(parcels), refused: refused, done: make(chan struct{})}
	for _, p := range parcels {
		r.samples += p.samples
	}
	if r.left == 0 {
		close(r.done)
	}
	return r
}

func (r *receipt) acknowledged(p *parcel) {
	if r != nil {
		r.oneLess(p.samples)
	}
}

func (r *receipt) rejected(f refusal) {
	if r != nil {
		r.refused(f)
		r.oneLess(f.samples)
	}
}

func (r *receipt) lost(p *parcel) {
	if r != nil {
		r.notSent += p.samples
		r.oneLess(p.samples)
	}
}

func (r *receipt) oneLess(samples int) {
	r.samples -= samples
	if r.left--; r.left == 0 {
		close(r.done)
	}
}
