package exporter

import (
	"errors"
	"fmt"

	"github.com/hubring/hubring/exporter/internal/queue"
)

// awaited is what a Push waits for.
type awaited struct {
	*queue.Receipt
	rejected *RejectedError // nil while nothing is; the queue's mutex guards it until the receipt is done
}

func newAwaited(parcels []*queue.Parcel, rejected *RejectedError) *awaited {
	a := &awaited{rejected: rejected}
	a.Receipt = queue.NewReceipt(parcels, a.refused)
	return a
}

func (a *awaited) refused(f queue.Refusal) {
	a.rejected = a.rejected.add(RejectedSample{Gateway: f.Gateway, Count: f.Samples, Reason: f.Why.String(), Hub: f.Hub, Detail: f.Detail})
}

// err is what Push returns when the receipt is done.
func (a *awaited) err() error {
	var errs []error
	if a.rejected != nil {
		errs = append(errs, a.rejected)
	}
	if a.NotSent > 0 {
		errs = append(errs, fmt.Errorf("%w: %d samples", ErrDropped, a.NotSent))
	}
	return errors.Join(errs...)
}
