package intake

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/exposition"
)

const (
	minGrowth     = 1024                                      // samples and newcomers
	freeSamples   = 16 << 10                                  // of a push, that do not count as memory for bodies
	freeNewcomers = 16 << 10                                  // likewise
	sureMisses    = 4                                         // series in a row that make the next one likely new
	tryEvery      = 16                                        // of those is looked up all the same
	sampleBytes   = 4 + 8 + 8 + 16                            // with its run
	newcomerBytes = int(unsafe.Sizeof(series.Newcomer{})) + 8 // with its place
)

// What is kept of a push's scratch space at most.
const (
	maxKeptSamples   = 128 << 10
	maxKeptNewcomers = 16 << 10
)

// push is what is noted of one push, in whatever format.
type push struct {
	in     *Intake
	batch  store.Batch
	parser *exposition.SeriesParser
	missed int   // series that were not known, since the last that was
	used   int64 // of the room
}

func newPush(in *Intake) push { return push{in: in, parser: exposition.NewSeriesParser(in.cfg.Limits)} }

func (p *push) reset() {
	p.batch.Reset()
	p.missed = 0
	p.in.room.Release(p.used)
	p.used = 0
}

// small says whether the scratch space may be kept for another push.
func (p *push) small() bool {
	return cap(p.batch.IDs) <= maxKeptSamples && cap(p.batch.Names.List) <= maxKeptNewcomers
}

// grow makes room for more samples.
func (p *push) grow() error {
	n := p.batch.Len()
	if n >= p.in.cfg.MaxSamples {
		return p.tooMany()
	}
	if n >= freeSamples {
		if err := p.use(n * sampleBytes); err != nil {
			return err
		}
	}
	p.batch.Grow(max(n, minGrowth))
	return nil
}

func (p *push) tooMany() error {
	return &RefusedError{"too_many_samples", fmt.Sprintf("the push has more than %d samples, which is the limit; send it in parts", p.in.cfg.MaxSamples)}
}

// use counts memory for what is noted of a push among that of its body: lines may
// be far shorter than what there is to note of them.
func (p *push) use(bytes int) error {
	if !p.in.room.Take(int64(bytes)) {
		return body.ErrNoRoom
	}
	p.used += int64(bytes)
	return nil
}

// find looks up a series, which may be the one that was expected
// behind a comment that did not come. It returns 0 for one that is not known,
// and notes it.
func (p *push) find(table *series.Table, spellings *series.Reader, raw []byte, expected uint32) (number uint32, err error) {
	if expected != 0 && spellings.Begins(raw, spellings.At(expected)) == len(raw) {
		return expected, nil
	}
	hash := table.Index.Hash(series.Text, raw)
	// Behind many that are not known the next is hardly known either. Then the
	// search is left to the table, which searches for many at a time; now and
	// then one is tried.
	if p.missed < sureMisses || p.missed%tryEvery == 0 {
		if number = table.Index.Find(series.Text, hash, raw); number != 0 {
			p.missed = 0
			return number, nil
		}
	}
	p.missed++
	if err := p.growNames(); err != nil {
		return 0, err
	}
	return 0, p.in.addSeries(p.parser, &p.batch.Names, raw, hash)
}

// growNames makes room for one more newcomer.
func (p *push) growNames() error {
	names := &p.batch.Names
	n := len(names.List)
	if n < cap(names.List) {
		return nil
	}
	if n >= freeNewcomers {
		if err := p.use(n * newcomerBytes); err != nil {
			return err
		}
	}
	names.List = slices.Grow(names.List, max(n, minGrowth))
	return nil
}

// addSeries checks a series' spelling and notes it.
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

// otherUnit is the answer to a time that is not in milliseconds: its sample would be taken
// now and dropped at the scrape, when nobody knows any more whose it was.
func (p *push) otherUnit(raw []byte, ms int64) error {
	whose := ""
	if _, err := p.parser.Parse(raw); err == nil {
		if name, ok := p.parser.Label(p.in.cfg.GatewayLabel); ok {
			whose = " of " + series.Called(string(name))
		}
	}
	return &RefusedError{"time_unit", fmt.Sprintf("series %.100q%s has the time %d; times are in milliseconds, this one looks like %s",
		raw, whose, ms, exposition.OtherUnit(ms))}
}

// describe looks up what is said of a family, spelled as the line of the text format that says it. It returns 0 for what is not
// known, and notes it. The text is a type's word, or a help text without escapes.
func (p *push) describe(table *series.Table, kind series.Kind, raw, name []byte, text func() []byte) (number uint32, err error) {
	hash := table.Index.Hash(series.Text, raw)
	if number = table.Index.Find(series.Text, hash, raw); number != 0 {
		return number, nil
	}
	if limit := p.in.cfg.Limits.SeriesBytes; len(raw) > limit {
		return 0, fmt.Errorf("the HELP or TYPE line of %.100q has %d bytes, the limit is %d", name, len(raw), limit)
	}
	if err := exposition.CheckText(raw); err != nil {
		return 0, fmt.Errorf("what is said of %.100q: %w", name, err)
	}
	if p.in.reserves(name) {
		return 0, nil // what it is the hub says
	}
	if err := p.growNames(); err != nil {
		return 0, err
	}
	names := &p.batch.Names
	n := series.Newcomer{Raw: raw, Hash: hash, Kind: kind, Name: names.Span(raw, name)}
	n.Text = names.Keep(text())
	names.List = append(names.List, n)
	return 0, nil
}
