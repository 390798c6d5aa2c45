package trial

import (
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Verdict is what is to be done with a sample of a series in a turn.
type Verdict uint8

// The verdicts.
const (
	Write Verdict = iota // it goes into the response
	Leave                // another place has it: pass over it, it is no business of this turn
	Drop                 // it is given up: pass over it, and count it when the place moves
)

// Turn says what the next response may hold.
type Turn[P any] struct {
	From  P      // where to read from
	Until uint64 // the position to read to at most
	Most  int    // samples that may be written at most; fewer are all right
	// Admit is asked for each sample; nil means that all are written.
	Admit func(series.ID) Verdict
	// Aside is what was set aside since the last turn. Whoever got the turn owes it the
	// counting.
	Aside []Aside[P]
	// Back are series that are no longer set aside, since they were stored.
	Back []series.ID

	states *states
	all    bool // every series of the response is to be listed
	group  *group[P]
	at     version
}

// version tells whether a turn is out of date.
type version struct {
	shares uint64 // which series belong to the turn
	names  uint64 // what their numbers mean
}

// Lists says whether a series of which a sample is written is to be listed in the
// response. In normal life it does so for series that are new.
func (t *Turn[P]) Lists(id series.ID) bool { return t.all || t.states.of(id) == fresh }

// Response is what was written in a turn.
type Response struct {
	Samples int         // without the receipt
	Listed  []series.ID // each once: those for which Turn.Lists said so
}

// Kind is what the server says that was wrong with a response.
type Kind uint8

// What can be wrong.
const (
	Unknown Kind = iota // it says nothing, or nothing that is understood
	Size                // there was too much of it
	Content             // something in it
)

// Cause is why a response was not stored.
type Cause struct {
	Kind   Kind
	Reason string // a word of it; "" counts as "refused"
	Metric string // the metric that it was for, if the server tells, as Config.Named takes it
}

func (c Cause) word() string {
	if c.Reason == "" {
		return "refused"
	}
	return c.Reason
}

// Aside are series that were set aside together.
type Aside[P any] struct {
	IDs    []series.ID
	Reason string
	// Their samples between the place From and the position Until are given up. Count
	// them, then give back the place.
	From  P
	Until uint64
	Again time.Time // when they are tried again
}
