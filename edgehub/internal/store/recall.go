package store

import (
	"context"
	"math"
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// recall makes a table and a log from what is on disk.
type recall struct {
	disk    *disk
	started bool
	there   bool // scrapers are where they were

	known []named // by number in the segment
	names series.Newcomers
	from  []uint32 // numbers of the newcomers
	seen  []uint32 // when something of a series came last, in Unix seconds
	batch samples.Columns
	runs  []samples.Run
}

// named is a series that has a number in a segment.
type named struct {
	id      series.ID
	gateway uint32 // 0 for a number that means nothing
}

// mostAhead is how far a number may be ahead of those that were there: so many names in a row may be lost.
const mostAhead = 1 << 20

// replay reads all that is on disk, and says whether it came to the end.
func (d *disk) replay(ctx context.Context, j *journal.Journal) bool {
	began := time.Now()
	d.refusal.Store(&StorageError{Reason: Replaying})
	table := d.store.Table()
	table.Limit(series.Limits{Series: math.MaxInt, GatewaySeries: math.MaxInt, TableBytes: math.MaxInt64})
	r := &recall{disk: d}
	report, err := j.Replay(r.place, func(rec *journal.Record) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		taken := r.take(rec)
		d.replayed.Add(uint64(taken))
		return taken, nil
	})
	if err != nil {
		return false
	}
	table.Limit(d.store.limits)
	table.Saw(r.seen)
	d.store.Expire(time.Now().Add(-d.store.idle), func([]bool) {}) // what nobody would know any more
	d.lost.Add(report.Lost)
	for _, damage := range report.Damage {
		d.cfg.Logger.Warn("something on disk is damaged", "error", damage)
	}
	if report.Torn {
		d.torn.Add(1)
		d.cfg.Logger.Warn("the log on disk ends in the middle of a push, which is cut off", "dir", d.cfg.Journal.Dir)
	}
	if now := time.Now(); d.store.Log.ToSeal(now) {
		d.store.sealers.Go(func() { d.store.Log.Seal(now) })
	}
	if report.Records > 0 {
		d.cfg.Logger.Info("the log was read from disk", "dir", d.cfg.Journal.Dir, "samples", report.Samples, "waiting", d.store.Log.Behind(),
			"lost", report.Lost, "took", time.Since(began).Round(time.Millisecond))
	}
	return true
}

// place puts scrapers where they were.
func (r *recall) place(at []journal.Place) {
	if !r.started || r.there {
		return
	}
	places := make([]samples.Place, len(at))
	for i, p := range at {
		places[i] = samples.Place(p)
	}
	r.there = r.disk.store.Log.SetPlaces(places)
}

// take takes one record, and returns how many of its samples.
func (r *recall) take(rec *journal.Record) int {
	log := r.disk.store.Log
	if !r.started {
		r.started = true
		log.StartAt(rec.Position, rec.Arrival)
	}
	if rec.Turned {
		clear(r.known)
	}
	r.learn(rec.Entries)
	if len(rec.Locals) == 0 && rec.Kind != journal.Ends {
		return 0
	}
	r.collect(rec)
	b := samples.Arrived{Columns: &r.batch, Runs: r.runs, Time: rec.Arrival}
	switch rec.Kind {
	case journal.Firsts:
		log.ReplayFirsts(b)
	case journal.Ends:
		if _, gateway := r.disk.store.Table().OwnOf(rec.Gateway); gateway != 0 {
			log.ReplayEnd(gateway, b)
		}
	default:
		log.Replay(b)
	}
	return r.batch.Len()
}

// learn takes in names.
func (r *recall) learn(entries []journal.Entry) {
	if len(entries) == 0 {
		return
	}
	table := r.disk.store.Table()
	r.names.Reset()
	r.from = r.from[:0]
	for _, e := range entries {
		if e.Local != 0 && !e.Own && r.disk.cfg.Read(table, &r.names, e.Name) == nil {
			r.from = append(r.from, e.Local)
		}
	}
	if len(r.from) > 0 && table.Learn(&r.names, time.Now(), func() error { return nil }, r.disk.store.Log.Arrive) == nil {
		for i := range r.from {
			n := &r.names.List[i]
			r.name(r.from[i], named{n.ID, n.Owner()})
		}
	}
	for _, e := range entries {
		switch {
		case e.Family:
			table.Describe(string(e.Name), string(e.Kind), string(e.Help))
		case e.Gateway:
			if _, gateway := table.OwnOf(string(e.Name)); gateway != 0 {
				r.disk.store.Log.Revive(gateway, samples.Life(e.Life))
			}
		case e.Own:
			if id, gateway := table.OwnOf(string(e.Name)); id != series.None && gateway != 0 {
				r.name(e.Local, named{id, gateway})
			}
		}
	}
}

// name gives a number of the segment its meaning.
func (r *recall) name(local uint32, n named) {
	if int(local) >= len(r.known) {
		if int(local) > len(r.known)+mostAhead {
			return
		}
		r.known = append(r.known, make([]named, (int(local)|1023)+1-len(r.known))...)
	}
	r.known[local] = n
	if int(n.id) >= len(r.seen) {
		r.seen = append(r.seen, make([]uint32, (int(n.id)|1023)+1-len(r.seen))...)
	}
}

// collect puts the samples whose series are known into the batch.
func (r *recall) collect(rec *journal.Record) {
	r.batch.Reset()
	r.batch.Grow(len(rec.Locals))
	r.runs = r.runs[:0]
	gateway, n, came := uint32(0), 0, uint32(rec.Arrival.Unix())
	for i, local := range rec.Locals {
		if int(local) >= len(r.known) || r.known[local].gateway == 0 {
			continue
		}
		known := r.known[local]
		if known.gateway != gateway {
			if n > 0 {
				r.runs = samples.AddRun(r.runs, gateway, n)
			}
			gateway, n = known.gateway, 0
		}
		n++
		r.seen[known.id] = came
		r.batch.Put(known.id, rec.Times[i], rec.Values[i])
	}
	if n > 0 {
		r.runs = samples.AddRun(r.runs, gateway, n)
	}
}
