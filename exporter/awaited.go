package exporter

import (
	"errors"
	"fmt"
)

// awaited is what a Push waits for.
type awaited struct {
	*receipt
	rejected *RejectedError // nil while nothing is; the queue's mutex guards it until the receipt is done
}

func newAwaited(parcels []*parcel, rejected *RejectedError) *awaited {
	a := &awaited{rejected: rejected}
	a.receipt = newReceipt(parcels, a.refused)
	return a
}

func (a *awaited) refused(f refusal) {
	a.rejected = a.rejected.add(RejectedSample{Gateway: f.gateway, Count: f.samples, Reason: f.why.String(), Hub: f.hub, Detail: f.detail})
}

// err is what Push returns when the receipt is done.
func (a *awaited) err() error {
	var errs []error
	if a.rejected != nil {
		errs = append(errs, a.rejected)
	}
	if a.notSent > 0 {
		errs = append(errs, fmt.Errorf("%w: %d samples", ErrDropped, a.notSent))
	}
	return errors.Join(errs...)
}
