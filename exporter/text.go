package exporter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/internal/exposition"
)

// ErrMalformed says that a text is not in the text format, or has a series that no hub takes; the message names the line.
var ErrMalformed = errors.New("malformed text")

// SubmitText is Submit for a text in Prometheus' text format, version 0.0.4, whose series have all their labels. The value of one label
// is the key of each series, as in SubmitFamilies: "gatewayID", unless hubs are told otherwise; series without it have the empty
// key. No label is set but those of Config.Labels. What has no timestamp gets the current time. A family without a TYPE line goes without one.
//
// All of it is taken in or, with an error, nothing: ErrMalformed, or Submit's. Nothing of the text is kept.
func (e *Exporter) SubmitText(ctx context.Context, label string, text []byte) error {
	if err := e.submitText(ctx, label, text); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

func (e *Exporter) submitText(ctx context.Context, label string, text []byte) error {
	if err := ctx.Err(); err != nil {
		e.queue.Refuse(reason.Cancelled, exposition.CountSamples(text))
		return err
	}
	if e.queue.IsClosed() { // spares the work; the queue decides
		e.queue.Refuse(reason.Closed, exposition.CountSamples(text))
		return ErrClosed
	}
	now := time.Now()
	enc := encode.NewTexts(now, e.cfg.AsGauges)
	defer enc.Release()
	enc.Labels = e.labels
	if err := enc.Encode(label, text); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	for _, b := range enc.Bodies {
		b.Key = e.keys.own(b.Key)
	}
	var few [32]*queue.Parcel
	return e.take(ctx, queue.ParcelsOf(few[:0], enc.Bodies), new([reason.NumEncoding]int), nil, now)
}
