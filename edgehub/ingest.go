package edgehub

import (
	"fmt"
	"sync"
	"time"

	"github.com/hubring/hubring/internal/exposition"
)

// ingester is the scratch space of one push; batches are kept between pushes.
type ingester struct {
	scanner exposition.Scanner
	batch   []sample
}

var ingesters = sync.Pool{New: func() any { return new(ingester) }}

// maxKeptSamples bounds the batch that a pooled ingester keeps.
const maxKeptSamples = 1 << 20

// ingest takes the samples of a body into the log, all or none, and returns how
// many there are. The body is read before anything is appended, so an error
// leaves nothing behind but names in the table.
func (h *Hub) ingest(body []byte, now time.Time) (int, error) {
	in := ingesters.Get().(*ingester)
	defer func() {
		in.scanner.Reset(nil)
		if cap(in.batch) <= maxKeptSamples {
			ingesters.Put(in)
		}
	}()
	in.scanner.Reset(body)
	in.batch = in.batch[:0]

	// Expiry waits for the numbers in the batch to be in the log.
	h.expiry.RLock()
	defer h.expiry.RUnlock()
	if err := h.parse(in, now); err != nil {
		return 0, err
	}
	return len(in.batch), h.log.append(in.batch)
}

// parse fills in.batch. Each spelling remembers which one followed it, so a
// sender that repeats itself costs one comparison a line and no search.
func (h *Hub) parse(in *ingester, now time.Time) error {
	arrival := now.UnixMilli()
	previous, guess := &spelling{}, (*spelling)(nil)
	for {
		expected := ""
		if guess != nil {
			expected = guess.raw
		}
		kind := in.scanner.Next(expected)
		current := guess
		switch kind {
		case exposition.End:
			return in.scanner.Err()
		case exposition.Sample:
			if !in.scanner.Guessed() {
				var err error
				if current, err = h.find(in, now); err != nil {
					return err
				}
			}
			ms, stamped := in.scanner.Timestamp()
			if !stamped {
				ms = arrival
			}
			in.batch = append(in.batch, sample{current.id, ms, in.scanner.Value()})
		case exposition.Type, exposition.Help:
			var err error
			if current, err = h.describe(in, kind); err != nil {
				return err
			}
		case exposition.Repeated:
		}
		previous, guess = follow(previous, guess, current)
	}
}

// follow notes that current came after previous, where guess was expected, and
// returns the pair for the next line.
func follow(previous, guess, current *spelling) (last, next *spelling) {
	if current == nil || current.loose {
		return &spelling{}, nil
	}
	if current != guess {
		previous.next.Store(current)
	}
	return current, current.next.Load()
}

// find looks up the series of a line, and interns it at its first sight.
func (h *Hub) find(in *ingester, now time.Time) (*spelling, error) {
	raw := in.scanner.Spelling()
	if sp, ok := h.table.lookup(raw); ok {
		return sp, nil
	}
	sp, err := h.table.intern(raw, now)
	return sp, atLine(in, err)
}

// describe takes in a TYPE or HELP line that was not guessed. It returns nil for
// one that the table does not remember.
func (h *Hub) describe(in *ingester, kind exposition.Kind) (*spelling, error) {
	raw := in.scanner.Spelling()
	if sp, ok := h.table.lookup(raw); ok {
		return sp, nil
	}
	conflict, err := h.table.describe(kind, in.scanner.Name(), in.scanner.Text(), raw)
	if err != nil {
		return nil, atLine(in, err)
	}
	if conflict {
		h.metrics.conflicts.Inc()
	}
	sp, _ := h.table.lookup(raw)
	return sp, nil
}

// atLine says on which line of a push an error is.
func atLine(in *ingester, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("line %d: %w", in.scanner.Line(), err)
}
