package exporter

import (
	"errors"
	"fmt"

	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/reason"
)

// receipt is what a Push waits for: the fate of each of its parcels. The router's
// mutex guards it until done is closed. A nil one is nobody's.
type receipt struct {
	left    int // parcels whose fate is not known
	samples int // of those
	refused *RejectedError
	notSent int // samples
	done    chan struct{}
}

func newReceipt(parcels []*parcel, refused *RejectedError) *receipt {
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
		r.oneLess(p)
	}
}

func (r *receipt) rejected(p *parcel, hub string, res push.Result) {
	if r == nil {
		return
	}
	r.refused = r.refused.add(RejectedSample{Gateway: p.key, Count: p.samples, Reason: reason.Refused(res.Status).String(), Hub: hub, Detail: res.Detail})
	r.oneLess(p)
}

func (r *receipt) lost(p *parcel) {
	if r != nil {
		r.notSent += p.samples
		r.oneLess(p)
	}
}

func (r *receipt) oneLess(p *parcel) {
	r.samples -= p.samples
	if r.left--; r.left == 0 {
		close(r.done)
	}
}

// err is what Push returns when done is closed.
func (r *receipt) err() error {
	var errs []error
	if r.refused != nil {
		errs = append(errs, r.refused)
	}
	if r.notSent > 0 {
		errs = append(errs, fmt.Errorf("%w: %d samples", ErrDropped, r.notSent))
	}
	return errors.Join(errs...)
}
