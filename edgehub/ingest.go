package edgehub

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/hubring/hubring/internal/exposition"
)

// ingester is the scratch space of one push, kept between pushes.
type ingester struct {
	scanner exposition.Scanner
	batch   columns
	runs    []run
	names   newcomers
	unknown []int // places in the batch whose series is a newcomer, in order
	missed  int   // series that were not known, since the last that was
	room    *room // that bodies share
	used    int64 // of it
}

const (
	minGrowth     = 1024                               // samples and newcomers
	freeSamples   = 16 << 10                           // of a push, that do not count as memory for bodies
	freeNewcomers = 16 << 10                           // likewise
	sureMisses    = 4                                  // series in a row that make the next one likely new
	tryEvery      = 16                                 // of those is looked up all the same
	sampleBytes   = 4 + 8 + 8 + 24                     // with its run
	newcomerBytes = int(unsafe.Sizeof(newcomer{})) + 8 // with its place
)

// maxKeptSamples bounds the batch that a pooled ingester keeps.
const maxKeptSamples = 128 << 10

func (h *Hub) newIngester() any {
	limits := exposition.Limits{SeriesBytes: h.cfg.MaxSeriesBytes, Labels: h.cfg.MaxLabels}
	return &ingester{room: &h.bodies, names: newcomers{parser: exposition.NewSeriesParser(limits), label: h.cfg.GatewayLabel}}
}

func (in *ingester) reset(body []byte) {
	in.scanner.Reset(body)
	in.batch.reset()
	clear(in.runs)
	in.runs, in.unknown, in.missed = in.runs[:0], in.unknown[:0], 0
	in.names.reset()
	in.room.used.Add(-in.used)
	in.used = 0
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
			var m made
			m, err = in.commit(h.log, t, now)
			h.madeRoom(m)
		}
		if !errors.Is(err, errReplaced) {
			h.metrics.conflicts.Add(float64(in.names.conflicts))
			return in.batch.len(), err
		}
	}
}

// read reads the body and fills the batch. It takes no lock. A sender that repeats
// itself costs one comparison a line and no search. Lines that the table does not
// know are noted as newcomers.
func (in *ingester) read(t *table, arrival int64) error {
	var lines chain
	chunks := *t.index.chunks.Load()
	owner, samples := uint32(0), 0 // since the last run
	room := min(cap(in.batch.ids), t.cfg.MaxSamples)
	for {
		expected, guess := "", lines.guess()
		var current *spelling
		if guess != 0 {
			if int(guess) > len(chunks)*chunkSize {
				chunks = *t.index.chunks.Load() // others add to it
			}
			current = spellingAt(chunks, guess)
			expected = current.raw
		}
		number, guessed := guess, true
		switch kind := in.scanner.Next(expected); kind {
		case exposition.End:
			in.endRun(t, owner, samples)
			return in.scanner.Err()
		case exposition.Repeated:
		case exposition.Sample:
			if in.batch.len() >= room {
				if err := in.grow(t); err != nil {
					return err
				}
				room = min(cap(in.batch.ids), t.cfg.MaxSamples)
			}
			if guessed = in.scanner.Guessed(); !guessed {
				var err error
				if number, err = in.find(t, lines.nextSeries()); err != nil {
					return fmt.Errorf("line %d: %w", in.scanner.Line(), err)
				}
			}
			ms, stamped := in.scanner.Timestamp()
			if !stamped {
				ms = arrival
			}
			if number == 0 {
				in.endRun(t, owner, samples)
				in.runs = append(in.runs, run{samples: 1})
				in.unknown = append(in.unknown, in.batch.len())
				in.batch.add(noSeries, ms, in.scanner.Value())
				samples = 0
				break
			}
			if !guessed {
				current = t.index.at(number)
			}
			if current.gateway != owner {
				in.endRun(t, owner, samples)
				owner, samples = current.gateway, 0
			}
			samples++
			in.batch.add(current.id, ms, in.scanner.Value())
		case exposition.Type, exposition.Help:
			guessed = false
			var err error
			if number, err = in.describe(t, kind); err != nil {
				return fmt.Errorf("line %d: %w", in.scanner.Line(), err)
			}
			if number != 0 {
				current = t.index.at(number)
			}
		}
		if number == 0 {
			lines.broken()
		} else {
			lines.follow(number, current, guessed)
		}
	}
}

// grow makes room for more samples.
func (in *ingester) grow(t *table) error {
	n := in.batch.len()
	if n >= t.cfg.MaxSamples {
		return &fullError{"hub_full", fmt.Sprintf("the push has more than %d samples, which is the limit", t.cfg.MaxSamples)}
	}
	if n >= freeSamples {
		if err := in.use(n * sampleBytes); err != nil {
			return err
		}
	}
	in.batch.grow(max(n, minGrowth))
	return nil
}

// use counts memory for what is noted of a push among that of its body: lines may
// be far shorter than what there is to note of them.
func (in *ingester) use(bytes int) error {
	if !in.room.take(int64(bytes), in.room.limit) {
		return errBodiesFull(in.room.limit)
	}
	in.used += int64(bytes)
	return nil
}

func (in *ingester) endRun(t *table, owner uint32, samples int) {
	if samples > 0 {
		in.runs = addRun(in.runs, t.gateway(owner), samples)
	}
}

// find looks up the series of a line, which may be the one that was expected
// behind a comment that did not come. It returns 0 for one that is not known,
// and notes it.
func (in *ingester) find(t *table, expected uint32) (number uint32, err error) {
	raw := in.scanner.Spelling()
	if expected != 0 && t.index.at(expected).raw == string(raw) {
		return expected, nil
	}
	hash := t.index.hash(raw)
	// Behind many that are not known the next is hardly known either. Then the
	// search is left to the table, which searches for many at a time; now and
	// then one is tried.
	if in.missed < sureMisses || in.missed%tryEvery == 0 {
		if number = t.index.find(hash, raw); number != 0 {
			in.missed = 0
			return number, nil
		}
	}
	in.missed++
	if err := in.growNames(); err != nil {
		return 0, err
	}
	return 0, in.names.addSeries(raw, hash)
}

// growNames makes room for one more newcomer.
func (in *ingester) growNames() error {
	n := len(in.names.list)
	if n < cap(in.names.list) {
		return nil
	}
	if n >= freeNewcomers {
		if err := in.use(n * newcomerBytes); err != nil {
			return err
		}
	}
	in.names.list = slices.Grow(in.names.list, max(n, minGrowth))
	return nil
}

// describe looks up a TYPE or HELP line that was not guessed, likewise.
func (in *ingester) describe(t *table, kind exposition.Kind) (number uint32, err error) {
	raw := in.scanner.Spelling()
	hash := t.index.hash(raw)
	if number = t.index.find(hash, raw); number != 0 {
		return number, nil
	}
	if limit := t.cfg.MaxSeriesBytes; len(raw) > limit {
		return 0, fmt.Errorf("the HELP or TYPE line of %.100q has %d bytes, the limit is %d", in.scanner.Name(), len(raw), limit)
	}
	if err := in.growNames(); err != nil {
		return 0, err
	}
	in.names.addMetadata(kind, raw, in.scanner.Name(), in.scanner.Text(), hash)
	return 0, nil
}

// commit takes the batch into the log, and has the table learn the newcomers
// before, if there is room for both.
func (in *ingester) commit(l *log, t *table, now time.Time) (m made, err error) {
	if len(in.names.list) == 0 {
		return l.append(t, &in.batch, in.runs, now.UnixMilli())
	}
	err = t.learn(&in.names, now, func() (err error) {
		in.assignRuns()
		m, err = l.reserve(t, in.batch.len(), in.runs)
		return err
	})
	if err == nil {
		in.assignNumbers()
		err = l.write(t, &in.batch, in.runs, now.UnixMilli())
	}
	return m, err
}

// assignRuns gives the runs of newcomers their gateways.
func (in *ingester) assignRuns() {
	runs, names := in.runs[:0], in.names.series()
	for _, r := range in.runs {
		if r.gateway == nil {
			n := names.next()
			r.gateway = n.owner.gateway
		}
		runs = addRun(runs, r.gateway, r.samples)
	}
	in.runs = runs
}

// assignNumbers gives the samples of newcomers the numbers of their series.
func (in *ingester) assignNumbers() {
	names := in.names.series()
	for _, place := range in.unknown {
		in.batch.ids[place] = names.next().id
	}
}
