package edgehub

import (
	"errors"
	"fmt"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// ingester is the scratch space of one push, kept between pushes.
type ingester struct {
	scanner exposition.Scanner
	batch   columns
	runs    []run
	names   newcomers
	unknown []int // places in the batch whose series is a newcomer, in order
}

// maxKeptSamples bounds the batch that a pooled ingester keeps.
const maxKeptSamples = 128 << 10

func (h *Hub) newIngester() any {
	limits := exposition.Limits{SeriesBytes: h.cfg.MaxSeriesBytes, Labels: h.cfg.MaxLabels}
	return &ingester{names: newcomers{parser: exposition.NewSeriesParser(limits), label: h.cfg.GatewayLabel}}
}

func (in *ingester) reset(body []byte) {
	in.scanner.Reset(body)
	in.batch.reset()
	clear(in.runs)
	in.runs, in.unknown = in.runs[:0], in.unknown[:0]
	in.names.reset()
}

// ingest takes the samples of a body into the log, all or none, and returns how
// many there are. The body is read to its end before anything is kept of it.
func (h *Hub) ingest(body []byte, now time.Time) (int, error) {
	in := h.ingesters.Get().(*ingester)
	defer func() {
		in.reset(nil)
		if cap(in.batch.ids) <= maxKeptSamples && cap(in.names.list) <= maxKeptNewcomers {
			h.ingesters.Put(in)
		}
	}()
	for {
		in.reset(body)
		t := h.table.Load()
		err := in.read(t, now.UnixMilli())
		if err == nil {
			err = in.resolve(t, now)
		}
		if err == nil {
			var letGo int
			letGo, err = h.log.append(t, &in.batch, in.runs, now.UnixMilli())
			h.metrics.letGo(letGo)
		}
		if !errors.Is(err, errReplaced) {
			h.metrics.conflicts.Add(float64(in.names.conflicts))
			return in.batch.len(), err
		}
	}
}

// read reads the body and fills the batch. It takes no lock. Each spelling remembers
// which one followed it, so a sender that repeats itself costs one comparison a
// line and no search. Lines that the table does not know are noted as newcomers.
func (in *ingester) read(t *table, arrival int64) error {
	previous, guess := &spelling{}, (*spelling)(nil)
	var owner *gateway
	samples := 0 // of owner, since the last run
	for {
		expected := ""
		if guess != nil {
			expected = guess.raw
		}
		kind := in.scanner.Next(expected)
		current := guess
		switch kind {
		case exposition.End:
			in.endRun(owner, samples)
			return in.scanner.Err()
		case exposition.Repeated:
		case exposition.Sample:
			if !in.scanner.Guessed() {
				var err error
				if current, err = in.find(t, previous); err != nil {
					return fmt.Errorf("line %d: %w", in.scanner.Line(), err)
				}
			}
			ms, stamped := in.scanner.Timestamp()
			if !stamped {
				ms = arrival
			}
			if current == nil {
				in.endRun(owner, samples)
				in.runs = append(in.runs, run{samples: 1})
				in.unknown = append(in.unknown, in.batch.len())
				in.batch.add(noSeries, ms, in.scanner.Value())
				owner, samples = nil, 0
				break
			}
			if current.gateway != owner {
				in.endRun(owner, samples)
				owner, samples = current.gateway, 0
			}
			samples++
			in.batch.add(current.id, ms, in.scanner.Value())
		case exposition.Type, exposition.Help:
			var err error
			if current, err = in.describe(t, kind, previous); err != nil {
				return fmt.Errorf("line %d: %w", in.scanner.Line(), err)
			}
		}
		previous, guess = in.follow(previous, guess, current)
	}
}

func (in *ingester) endRun(owner *gateway, samples int) {
	if samples > 0 {
		in.runs = addRun(in.runs, owner, samples)
	}
}

// follow notes that current came after previous, where guess was expected, and
// returns the pair for the next line. A newcomer is nil here; it is linked when it
// has its spelling.
func (in *ingester) follow(previous, guess, current *spelling) (last, next *spelling) {
	if current == nil || current.raw == "" {
		return &unknownSpelling, nil
	}
	if current != guess {
		if previous == &unknownSpelling {
			in.names.followed(current)
		} else {
			previous.next.Store(current)
		}
	}
	return current, current.next.Load()
}

// find looks up the series of a line. It returns nil for one that is not known,
// and notes it.
func (in *ingester) find(t *table, previous *spelling) (*spelling, error) {
	raw := in.scanner.Spelling()
	hash := t.index.hash(raw)
	if sp := t.index.find(hash, raw); sp != nil {
		return sp, nil
	}
	return nil, in.names.addSeries(raw, hash, in.scanner.Line(), previous)
}

// describe looks up a TYPE or HELP line that was not guessed, likewise.
func (in *ingester) describe(t *table, kind exposition.Kind, previous *spelling) (*spelling, error) {
	raw := in.scanner.Spelling()
	hash := t.index.hash(raw)
	if sp := t.index.find(hash, raw); sp != nil {
		return sp, nil
	}
	if limit := t.cfg.MaxSeriesBytes; len(raw) > limit {
		return nil, fmt.Errorf("the HELP or TYPE line of %.100q has %d bytes, the limit is %d", in.scanner.Name(), len(raw), limit)
	}
	in.names.addMetadata(kind, raw, in.scanner.Name(), in.scanner.Text(), hash, in.scanner.Line(), previous)
	return nil, nil
}

// resolve has the table learn the newcomers and gives their samples their numbers
// and owners.
func (in *ingester) resolve(t *table, now time.Time) error {
	if len(in.names.list) == 0 {
		return nil
	}
	if err := t.intern(&in.names, now); err != nil {
		return err
	}
	unknown, runs := in.unknown, in.runs[:0]
	names := in.names.list
	for _, r := range in.runs {
		if r.gateway == nil {
			for names[0].kind != seriesLine {
				names = names[1:]
			}
			sp := names[0].spelling
			in.batch.ids[unknown[0]] = sp.id
			r.gateway = sp.gateway
			names, unknown = names[1:], unknown[1:]
		}
		runs = addRun(runs, r.gateway, r.samples)
	}
	in.runs = runs
	return nil
}
