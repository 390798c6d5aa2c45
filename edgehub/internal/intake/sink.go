package intake

import (
	"errors"
	"time"

	"github.com/hubring/hubring/edgehub/internal/native"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// sink is where decoders bring what they read of one push. Series are spelled in the text format, so whatever
// format a sender speaks, its series are in the table once.
type sink struct {
	push
	table     *series.Table
	spellings series.Reader
	lines     series.Chain
	arrival   int64
	room      int // samples before grow
	owner     uint32
	run       int    // samples since the last run
	kept      []byte // spellings of newcomers
	line      []byte // that says something of a family

	// Of the sample that was brought last.
	open      bool // it was taken
	unknown   bool // it is a newcomer's
	following int  // words that follow it

	histogram         native.Histogram // scratch space
	words             []float64        // likewise
	shown             []byte           // likewise
	received, leftOut Extras           // with this push
}

const keptBlock = 16 << 10

// Take takes what read brings to a sink, all of it or none, and returns how many samples there are and what was done to make room for
// them. Nothing is kept where read fails. It is called again where the table was replaced meanwhile.
func (in *Intake) Take(now time.Time, read func(decode.Sink) error) (int, samples.Made, error) {
	return in.take(now, read, false)
}

// TakeHanded does so with what another hub hands over, see samples.Arrived.
func (in *Intake) TakeHanded(now time.Time, read func(decode.Sink) error) (int, samples.Made, error) {
	return in.take(now, read, true)
}

func (in *Intake) take(now time.Time, read func(decode.Sink) error, handed bool) (int, samples.Made, error) {
	s := in.sinks.Get().(*sink)
	defer func() {
		s.reset()
		if s.table = nil; s.small() {
			in.sinks.Put(s)
		}
	}()
	for {
		s.begin(in.store.Table(), now.UnixMilli())
		s.batch.Handed = handed
		err := read(s)
		var m samples.Made
		if err == nil {
			s.batch.AddRun(s.owner, s.run)
			m, err = in.store.Commit(s.table, &s.batch, now)
		}
		if err == nil {
			in.received.add(s.received)
			in.leftOut.add(s.leftOut)
		}
		if !errors.Is(err, series.ErrReplaced) {
			return s.batch.Len(), m, err
		}
	}
}

func (s *sink) begin(table *series.Table, arrival int64) {
	s.reset()
	s.table, s.spellings, s.arrival = table, table.Index.Reader(), arrival
	s.lines, s.owner, s.run = series.Chain{}, 0, 0
	s.room = min(s.batch.Room(), s.in.cfg.MaxSamples)
	s.kept = nil // newcomers of the last try may still be looked at
	s.open, s.received, s.leftOut = false, Extras{}, Extras{}
}

// Sample implements decode.Sink.
func (s *sink) Sample(raw []byte, ms int64, value float64) error {
	return s.add(raw, ms, words.Number(value))
}

func (s *sink) add(raw []byte, ms int64, value float64) error {
	s.open = false
	if ms == decode.NoTime {
		ms = s.arrival
	} else if exposition.IsOtherUnit(ms) {
		return s.otherUnit(raw, ms)
	}
	if len(s.batch.IDs) >= s.room {
		if err := s.grow(); err != nil { // no sample has room
			return &decode.BrokenError{Err: err}
		}
		s.room = min(s.batch.Len()+s.batch.Room(), s.in.cfg.MaxSamples)
	}
	number, guessed := s.lines.NextSeries(), true
	if number == 0 || s.spellings.Begins(raw, s.spellings.At(number)) != len(raw) {
		guessed = false
		var err error
		if number, err = s.look(raw); err != nil {
			return err
		}
	}
	if number == 0 {
		s.batch.AddRun(s.owner, s.run)
		s.batch.AddUnknown(ms, value)
		s.run, s.lines = 0, series.Chain{}
		s.open, s.unknown, s.following = true, true, 0
		return nil
	}
	current := s.spellings.At(number)
	if gateway := current.Gateway(); gateway != s.owner {
		s.batch.AddRun(s.owner, s.run)
		s.owner, s.run = gateway, 0
	}
	s.run++
	s.batch.Put(current.ID, ms, value)
	s.open, s.unknown, s.following = true, false, 0
	if !guessed {
		s.lines.Learn(number, current)
	}
	s.lines = s.lines.Follow(current)
	return nil
}

// look finds the number of a series, or notes it and returns 0.
func (s *sink) look(raw []byte) (number uint32, err error) {
	n := len(s.batch.Names.List)
	number, err = s.find(s.table, &s.spellings, raw, 0)
	if len(s.batch.Names.List) > n {
		s.keepRaw()
	}
	return number, broken(err)
}

// broken marks what ends the reading of a body.
func broken(err error) error {
	if errors.Is(err, body.ErrNoRoom) {
		return &decode.BrokenError{Err: err}
	}
	return err
}

// keepRaw keeps the spelling of the newest newcomer, which the decoder writes over.
func (s *sink) keepRaw() {
	n := &s.batch.Names.List[len(s.batch.Names.List)-1]
	if cap(s.kept)-len(s.kept) < len(n.Raw) {
		s.kept = make([]byte, 0, max(keptBlock, len(n.Raw)))
	}
	from := len(s.kept)
	s.kept = append(s.kept, n.Raw...)
	n.Raw = s.kept[from:len(s.kept):len(s.kept)]
}

// Type implements decode.Sink.
func (s *sink) Type(family, kind []byte) error {
	s.line = exposition.AppendName(append(s.line[:0], "# TYPE "...), string(family))
	s.line = append(append(s.line, ' '), kind...)
	return s.say(series.OfType, family, kind)
}

// Help implements decode.Sink.
func (s *sink) Help(family, text []byte) error {
	s.line = exposition.AppendName(append(s.line[:0], "# HELP "...), string(family))
	s.line = exposition.AppendHelp(append(s.line, ' '), string(text))
	return s.say(series.OfHelp, family, text)
}

func (s *sink) say(kind series.Kind, family, text []byte) error {
	n := len(s.batch.Names.List)
	_, err := s.describe(s.table, kind, s.line, family, func() []byte { return text })
	if len(s.batch.Names.List) > n {
		s.keepRaw()
	}
	return broken(err)
}
