package intake

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/hubring/hubring/edgehub/internal/body"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/exposition"
)

// Config bounds what is read.
type Config struct {
	Limits       exposition.Limits // of a series; HELP and TYPE lines may be as long
	GatewayLabel string            // whose value names a series' gateway
	MaxSamples   int               // of a push
	Reserved     []string          // names that no series may have, since the hub itself writes them
}

// Intake reads pushes into a store. Its methods may be called from any goroutine.
type Intake struct {
	cfg          Config
	store        *store.Store
	room         *body.Room // bounds what is noted of the pushes that are read, beside their bodies
	texts        sync.Pool  // of *text
	unknownTypes atomic.Uint64
}

// New returns an intake into a store.
func New(cfg Config, s *store.Store, room *body.Room) *Intake {
	in := &Intake{cfg: cfg, store: s, room: room}
	in.texts.New = func() any { return &text{in: in, parser: exposition.NewSeriesParser(cfg.Limits)} }
	return in
}

// UnknownTypes is the number of TYPE lines whose word is no type, read as untyped.
func (in *Intake) UnknownTypes() uint64 { return in.unknownTypes.Load() }

// RefusedError is a reason to refuse a push for what it says. Others are a *store.FullError,
// body.ErrNoRoom, or a mistake in the format.
type RefusedError struct {
	Reason string // in one word
	text   string
}

func (e *RefusedError) Error() string { return e.text }

// text is the scratch space of one push in the text format, kept between pushes.
type text struct {
	in      *Intake
	scanner exposition.Scanner
	batch   store.Batch
	parser  *exposition.SeriesParser
	missed  int   // series that were not known, since the last that was
	used    int64 // of the room
}

const (
	minGrowth     = 1024                                      // samples and newcomers
	freeSamples   = 16 << 10                                  // of a push, that do not count as memory for bodies
	freeNewcomers = 16 << 10                                  // likewise
	sureMisses    = 4                                         // series in a row that make the next one likely new
	tryEvery      = 16                                        // of those is looked up all the same
	sampleBytes   = 4 + 8 + 8 + 16                            // with its run
	newcomerBytes = int(unsafe.Sizeof(series.Newcomer{})) + 8 // with its place
)

// What a pooled text keeps at most.
const (
	maxKeptSamples   = 128 << 10
	maxKeptNewcomers = 16 << 10
)

// Text takes the samples of a body in the text format, all or none, and returns how
// many there are and what was done to make room for them. The body is read to its end
// before anything is kept of it.
func (in *Intake) Text(body []byte, now time.Time) (int, samples.Made, error) {
	return in.text(body, now, false)
}

// Handed does so with what another hub hands over, see samples.Arrived.
func (in *Intake) Handed(body []byte, now time.Time) (int, samples.Made, error) {
	return in.text(body, now, true)
}

func (in *Intake) text(body []byte, now time.Time, handed bool) (int, samples.Made, error) {
	t := in.texts.Get().(*text)
	defer func() {
		t.reset(nil)
		if cap(t.batch.IDs) <= maxKeptSamples && cap(t.batch.Names.List) <= maxKeptNewcomers {
			in.texts.Put(t)
		}
	}()
	for {
		t.reset(body)
		t.batch.Handed = handed
		table := in.store.Table()
		err := t.read(table, now.UnixMilli())
		var m samples.Made
		if err == nil {
			m, err = in.store.Commit(table, &t.batch, now)
		}
		if !errors.Is(err, series.ErrReplaced) {
			in.unknownTypes.Add(uint64(t.scanner.UnknownTypes()))
			return t.batch.Len(), m, err
		}
	}
}

func (t *text) reset(body []byte) {
	t.scanner.Reset(body)
	t.batch.Reset()
	t.missed = 0
	t.in.room.Release(t.used)
	t.used = 0
}

// read reads the body and fills the batch. It takes no lock. A sender that repeats
// itself costs one comparison a line and no search. Lines that the table does not
// know are noted as newcomers.
func (t *text) read(table *series.Table, arrival int64) error {
	var lines series.Chain
	spellings := table.Index.Reader()
	owner, n := uint32(0), 0 // samples since the last run
	batch, most := &t.batch, t.in.cfg.MaxSamples
	room := min(batch.Len()+batch.Room(), most)
	for {
		guess, known := lines.Guess(), 0
		var current *series.Spelling
		if guess != 0 {
			current = spellings.At(guess)
			known = spellings.Begins(t.scanner.Rest(), current)
		}
		number, guessed := guess, true
		switch kind := t.scanner.Next(known); kind {
		case exposition.End:
			batch.AddRun(owner, n)
			return t.scanner.Err()
		case exposition.Repeated:
		case exposition.Sample:
			if len(batch.IDs) >= room {
				if err := t.grow(); err != nil {
					return err
				}
				room = min(batch.Len()+batch.Room(), most)
			}
			if guessed = t.scanner.Guessed(); !guessed {
				var err error
				if number, err = t.find(table, &spellings, lines.NextSeries()); err != nil {
					return fmt.Errorf("line %d: %w", t.scanner.Line(), err)
				}
			}
			ms, stamped := t.scanner.Timestamp()
			if !stamped {
				ms = arrival
			} else if isOtherUnit(ms) {
				return t.otherUnit(ms)
			}
			if number == 0 {
				batch.AddRun(owner, n)
				batch.AddUnknown(ms, t.scanner.Value())
				n = 0
				break
			}
			if !guessed {
				current = spellings.At(number)
			}
			if gateway := current.Gateway(); gateway != owner {
				batch.AddRun(owner, n)
				owner, n = gateway, 0
			}
			n++
			batch.Put(current.ID, ms, t.scanner.Value())
		case exposition.Type, exposition.Help:
			guessed = false
			var err error
			if number, err = t.describe(table, kind); err != nil {
				return fmt.Errorf("line %d: %w", t.scanner.Line(), err)
			}
			if number != 0 {
				current = spellings.At(number)
			}
		}
		if number == 0 {
			lines = series.Chain{}
			continue
		}
		if !guessed {
			lines.Learn(number, current)
		}
		lines = lines.Follow(current)
	}
}

// Times in milliseconds that are between the first two are seconds, of the years 2001 to
// 2286, and not of January to April 1970. Those from the third on, the year 5138, are
// microseconds or nanoseconds.
const earliestSeconds, latestSeconds, latestMillis = 1_000_000_000, 10_000_000_000, 100_000_000_000_000

func isOtherUnit(ms int64) bool {
	return uint64(ms-earliestSeconds) < latestSeconds-earliestSeconds || ms >= latestMillis
}

// OtherUnit says which unit a time seems to be in that is not in milliseconds, or "".
func OtherUnit(ms int64) string {
	switch {
	case !isOtherUnit(ms):
		return ""
	case ms >= latestMillis:
		return "microseconds or nanoseconds"
	}
	return "seconds"
}

// otherUnit is the answer to a time that is not in milliseconds: its sample would be taken
// now and dropped at the scrape, when nobody knows any more whose it was.
func (t *text) otherUnit(ms int64) error {
	whose := ""
	if _, err := t.parser.Parse(t.scanner.Spelling()); err == nil {
		if name, ok := t.parser.Label(t.in.cfg.GatewayLabel); ok {
			whose = " of " + series.Called(string(name))
		}
	}
	return &RefusedError{"time_unit", fmt.Sprintf("line %d: series %.100q%s has the time %d; times are in milliseconds, this one looks like %s",
		t.scanner.Line(), t.scanner.Spelling(), whose, ms, OtherUnit(ms))}
}

// grow makes room for more samples.
func (t *text) grow() error {
	n := t.batch.Len()
	if most := t.in.cfg.MaxSamples; n >= most {
		return &RefusedError{"too_many_samples", fmt.Sprintf("the push has more than %d samples, which is the limit; send it in parts", most)}
	}
	if n >= freeSamples {
		if err := t.use(n * sampleBytes); err != nil {
			return err
		}
	}
	t.batch.Grow(max(n, minGrowth))
	return nil
}

// use counts memory for what is noted of a push among that of its body: lines may
// be far shorter than what there is to note of them.
func (t *text) use(bytes int) error {
	if !t.in.room.Take(int64(bytes)) {
		return body.ErrNoRoom
	}
	t.used += int64(bytes)
	return nil
}

// find looks up the series of a line, which may be the one that was expected
// behind a comment that did not come. It returns 0 for one that is not known,
// and notes it.
func (t *text) find(table *series.Table, spellings *series.Reader, expected uint32) (number uint32, err error) {
	raw := t.scanner.Spelling()
	if expected != 0 && spellings.Begins(raw, spellings.At(expected)) == len(raw) {
		return expected, nil
	}
	hash := table.Index.Hash(series.Text, raw)
	// Behind many that are not known the next is hardly known either. Then the
	// search is left to the table, which searches for many at a time; now and
	// then one is tried.
	if t.missed < sureMisses || t.missed%tryEvery == 0 {
		if number = table.Index.Find(series.Text, hash, raw); number != 0 {
			t.missed = 0
			return number, nil
		}
	}
	t.missed++
	if err := t.growNames(); err != nil {
		return 0, err
	}
	return 0, t.addSeries(raw, hash)
}

// growNames makes room for one more newcomer.
func (t *text) growNames() error {
	names := &t.batch.Names
	n := len(names.List)
	if n < cap(names.List) {
		return nil
	}
	if n >= freeNewcomers {
		if err := t.use(n * newcomerBytes); err != nil {
			return err
		}
	}
	names.List = slices.Grow(names.List, max(n, minGrowth))
	return nil
}

// addSeries checks a series' spelling and notes it.
func (t *text) addSeries(raw []byte, hash uint32) error {
	return t.in.addSeries(t.parser, &t.batch.Names, raw, hash)
}

func (in *Intake) addSeries(parser *exposition.SeriesParser, names *series.Newcomers, raw []byte, hash uint32) error {
	s, err := parser.Parse(raw)
	if err != nil {
		return err
	}
	if in.reserves(s.Name) {
		return &RefusedError{"reserved_name", fmt.Sprintf("the name %s is the hub's own", s.Name)}
	}
	n := series.Newcomer{Raw: raw, Hash: hash, Odd: s.OddBound, Quoted: s.Quoted, Group: uint32(s.Group >> 32)}
	n.Name = names.Span(raw, s.Name)
	if value, ok := parser.Label(in.cfg.GatewayLabel); ok {
		n.Gateway = names.Span(raw, value)
	}
	if len(s.Text) == len(raw) && &s.Text[0] == &raw[0] {
		n.Text = series.Whole(raw)
	} else {
		n.Text = names.Keep(s.Text)
	}
	names.List = append(names.List, n)
	return nil
}

// Reader returns what reads the canonical text of a series, which it may keep until the newcomers are learned, and
// notes it as a newcomer to a table. It is for one goroutine.
func (in *Intake) Reader() func(t *series.Table, names *series.Newcomers, text []byte) error {
	parser := exposition.NewSeriesParser(exposition.Limits{SeriesBytes: math.MaxInt32, Labels: math.MaxInt32}) // it was measured when it came
	return func(t *series.Table, names *series.Newcomers, text []byte) error {
		return in.addSeries(parser, names, text, t.Index.Hash(series.Text, text))
	}
}

func (in *Intake) reserves(name []byte) bool {
	return slices.ContainsFunc(in.cfg.Reserved, func(r string) bool { return string(name) == r })
}

// describe looks up a TYPE or HELP line that was not guessed, likewise.
func (t *text) describe(table *series.Table, kind exposition.Kind) (number uint32, err error) {
	raw := t.scanner.Spelling()
	hash := table.Index.Hash(series.Text, raw)
	if number = table.Index.Find(series.Text, hash, raw); number != 0 {
		return number, nil
	}
	if limit := t.in.cfg.Limits.SeriesBytes; len(raw) > limit {
		return 0, fmt.Errorf("the HELP or TYPE line of %.100q has %d bytes, the limit is %d", t.scanner.Name(), len(raw), limit)
	}
	if t.in.reserves(t.scanner.Name()) {
		return 0, nil // what it is the hub says
	}
	if err := t.growNames(); err != nil {
		return 0, err
	}
	names := &t.batch.Names
	n := series.Newcomer{Raw: raw, Hash: hash, Kind: series.OfType, Name: names.Span(raw, t.scanner.Name())}
	if kind == exposition.Help {
		n.Kind, n.Text = series.OfHelp, names.Keep([]byte(exposition.UnescapeHelp(t.scanner.Text())))
	} else {
		n.Text = names.Keep(t.scanner.Text())
	}
	names.List = append(names.List, n)
	return 0, nil
}
