package series

import "bytes"

// Kind says what a newcomer is.
type Kind uint8

// The kinds of newcomers.
const (
	OfSeries Kind = iota
	OfType        // a TYPE line
	OfHelp        // a HELP line
)

// Newcomer is a spelling that the table did not know when it was read: a series', or
// that of a whole line which says the type or the help text of a family. Whoever
// reads a format checks it and says what it means.
type Newcomer struct {
	Raw     []byte // as the format writes it; it stays as it is until Learn is done
	Name    Span   // of the series or the family
	Gateway Span   // the name of the gateway; empty for none
	Text    Span   // canonical text of a series, type word, help text without escapes
	Hash    uint32 // of Raw, by the table's index
	Group   uint32 // equal for the series of one histogram or summary
	Format  Format // of Raw
	Kind    Kind
	Odd     bool // a bound is no number
	Quoted  bool // a name is not a classic one

	ID    ID // set by Learn
	owner *member
}

// Owner is the number of a series' gateway. It is there from the time that Learn calls
// admit.
func (n *Newcomer) Owner() uint32 { return n.owner.number }

// canonical says whether a series was written as the table keeps it.
func (n *Newcomer) canonical() bool { return n.Text.from == 0 && int(n.Text.len) == len(n.Raw) }

// cut cuts the gateway's name out of one of the newcomer's texts.
func (n *Newcomer) cut(text []byte) pieces { return n.owner.cut(text, int(n.Gateway.from)) }

// Span is a part of a newcomer's raw bytes, or of the scratch space when from is
// negative: then it begins at ^from.
type Span struct{ from, len int32 }

// Whole is the span of all of raw.
func Whole(raw []byte) Span { return Span{0, int32(len(raw))} }

// Newcomers are those of one push, in their order.
type Newcomers struct {
	List      []Newcomer
	Conflicts int // TYPE lines that contradict the type of a family, counted by Learn
	scratch   []byte
}

// Reset forgets the newcomers, and the body that they hold.
func (ns *Newcomers) Reset() {
	clear(ns.List)
	ns.List, ns.scratch, ns.Conflicts = ns.List[:0], ns.scratch[:0], 0
}

// Span finds where a part lies in raw, or keeps a copy of it.
func (ns *Newcomers) Span(raw, part []byte) Span {
	if i := bytes.Index(raw, part); i >= 0 {
		return Span{int32(i), int32(len(part))}
	}
	return ns.Keep(part)
}

// Keep keeps a copy of what is not in the raw bytes.
func (ns *Newcomers) Keep(part []byte) Span {
	from := int32(len(ns.scratch))
	ns.scratch = append(ns.scratch, part...)
	return Span{^from, int32(len(part))}
}

func (ns *Newcomers) bytes(n *Newcomer, s Span) []byte {
	if s.from < 0 {
		from := int(^s.from)
		return ns.scratch[from : from+int(s.len)]
	}
	return n.Raw[s.from : s.from+s.len]
}

// Series returns the newcomers that are series, to step through.
func (ns *Newcomers) Series() Names { return Names{ns.List} }

// Names steps through newcomers that are series.
type Names struct{ rest []Newcomer }

// Next returns the next one. There has to be one.
func (s *Names) Next() *Newcomer {
	for s.rest[0].Kind != OfSeries {
		s.rest = s.rest[1:]
	}
	n := &s.rest[0]
	s.rest = s.rest[1:]
	return n
}
