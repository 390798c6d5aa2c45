package exporter

import (
	"context"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/reason"
)

// Drop is what Config.OnDrop is told: samples that were dropped, for one reason.
type Drop struct {
	Reason           string // as in the metric hubring_exporter_samples_dropped_total
	Network, Gateway string // where they come from; empty if that is not known, and Network if they were queued
	Metric           string // the family's name, sanitised; empty if they were queued, or are of many
	Samples          int    // how many, at least 1
}

// maxDrops is how many drops may wait for OnDrop.
const maxDrops = 1024

// drops are on their way to OnDrop. A nil one is for nobody. Nobody who drops waits for it.
type drops struct {
	waiting chan Drop
	missed  prometheus.Counter // for which there was no room
	tell    func(Drop)
}

func newDrops(tell func(Drop), missed prometheus.Counter) *drops {
	if tell == nil {
		return nil
	}
	return &drops{waiting: make(chan Drop, maxDrops), missed: missed, tell: tell}
}

// note leaves a drop for run. It may be called with the queue's mutex.
func (d *drops) note(drop Drop) {
	if d == nil {
		return
	}
	select {
	case d.waiting <- drop:
	default:
		d.missed.Inc()
	}
}

// encoded notes what could not be written.
func (d *drops) encoded(enc *encode.Encoder) {
	if d == nil {
		return
	}
	var told [reason.NumEncoding]int
	for i := range enc.LeftOut {
		if l := &enc.LeftOut[i]; l.Samples > 0 {
			told[l.Reason] += l.Samples
			d.note(Drop{l.Reason.String(), strings.Clone(l.Network), strings.Clone(l.Gateway), strings.Clone(l.Metric), l.Samples})
		}
	}
	for why := range enc.Dropped { // those beyond what LeftOut describes
		if more := enc.Dropped[why].Samples - told[why]; more > 0 {
			d.note(Drop{Reason: reason.Reason(why).String(), Samples: more})
		}
	}
}

// run tells what was dropped, one drop at a time, until ctx ends and all is told.
func (d *drops) run(ctx context.Context) {
	if d == nil {
		return
	}
	for {
		select {
		case drop := <-d.waiting:
			d.tell(drop)
			continue
		default:
		}
		select {
		case drop := <-d.waiting:
			d.tell(drop)
		case <-ctx.Done():
			if len(d.waiting) == 0 {
				return
			}
		}
	}
}
