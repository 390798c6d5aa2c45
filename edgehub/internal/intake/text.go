package intake

import (
	"errors"
	"fmt"
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/internal/exposition"
)

// text is the scratch space of one push in the text format, kept between pushes.
type text struct {
	push
	scanner exposition.Scanner
}

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
		if t.small() {
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
	t.push.reset()
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
				if number, err = t.find(table, &spellings, t.scanner.Spelling(), lines.NextSeries()); err != nil {
					return fmt.Errorf("line %d: %w", t.scanner.Line(), err)
				}
			}
			ms, stamped := t.scanner.Timestamp()
			if !stamped {
				ms = arrival
			} else if exposition.IsOtherUnit(ms) {
				return fmt.Errorf("line %d: %w", t.scanner.Line(), t.otherUnit(t.scanner.Spelling(), ms))
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

// describe looks up a TYPE or HELP line that was not guessed, likewise.
func (t *text) describe(table *series.Table, kind exposition.Kind) (number uint32, err error) {
	if kind == exposition.Help {
		return t.push.describe(table, series.OfHelp, t.scanner.Spelling(), t.scanner.Name(), func() []byte {
			return []byte(exposition.UnescapeHelp(t.scanner.Text()))
		})
	}
	return t.push.describe(table, series.OfType, t.scanner.Spelling(), t.scanner.Name(), t.scanner.Text)
}
