package edgehub

import (
	"bytes"

	"github.com/hubring/hubring/internal/exposition"
)

type lineKind uint8

const (
	seriesLine lineKind = iota
	typeLine
	helpLine
)

// newcomer is a line whose series, TYPE or HELP the table had not seen when the
// line was read. Its bytes are parts of the body, or of newcomers.scratch.
type newcomer struct {
	raw      []byte
	hash     uint32
	line     int
	kind     lineKind
	odd      bool
	name     []byte // of the series or the family
	gateway  []byte
	rest     []byte // type or help text
	text     int    // where the canonical text begins in scratch, or -1: it is raw
	textLen  int
	group    uint32
	previous *spelling // of the line before; &unknownSpelling when that is a newcomer, too
	follower *spelling // of the line behind, or nil when that is a newcomer, too

	spelling  *spelling // set by intern
	conflicts int
}

func (n *newcomer) canonical() bool { return n.text < 0 }

// unknownSpelling stands for the spelling of a line that has none to link.
var unknownSpelling spelling

// newcomers are the lines of one push that the table has to learn, in their
// order.
type newcomers struct {
	list      []newcomer
	scratch   []byte // texts that are not in the body
	parser    *exposition.SeriesParser
	label     string // that names the gateway
	conflicts int    // TYPE lines that contradict the type of a family
}

// maxKeptNewcomers bounds what a pooled ingester keeps.
const maxKeptNewcomers = 16 << 10

func (ns *newcomers) reset() {
	clear(ns.list) // they hold the body
	ns.list, ns.scratch, ns.conflicts = ns.list[:0], ns.scratch[:0], 0
}

func (ns *newcomers) textOf(n *newcomer) []byte {
	if n.canonical() {
		return n.raw
	}
	return ns.scratch[n.text : n.text+n.textLen]
}

// addSeries checks a series' spelling and notes it.
func (ns *newcomers) addSeries(raw []byte, hash uint32, line int, previous *spelling) error {
	s, err := ns.parser.Parse(raw)
	if err != nil {
		return err
	}
	n := newcomer{raw: raw, hash: hash, line: line, previous: previous, odd: s.OddBound, group: uint32(s.Group >> 32), text: -1}
	n.name = ns.own(raw, s.Name)
	if value, ok := ns.parser.Label(ns.label); ok {
		n.gateway = ns.own(raw, value)
	}
	if len(s.Text) != len(raw) || &s.Text[0] != &raw[0] {
		n.text, n.textLen = len(ns.scratch), len(s.Text)
		ns.scratch = append(ns.scratch, s.Text...)
	}
	ns.list = append(ns.list, n)
	return nil
}

// own returns bytes that last as long as the push: part's place in raw, or a copy
// where escapes were undone.
func (ns *newcomers) own(raw, part []byte) []byte {
	if i := bytes.Index(raw, part); i >= 0 {
		return raw[i : i+len(part)]
	}
	return bytes.Clone(part)
}

// addMetadata notes a TYPE or HELP line.
func (ns *newcomers) addMetadata(found exposition.Kind, raw, name, text []byte, hash uint32, line int, previous *spelling) {
	kind := helpLine
	if found == exposition.Type {
		kind = typeLine
	}
	ns.list = append(ns.list, newcomer{raw: raw, hash: hash, line: line, previous: previous, kind: kind, name: name, rest: text, text: -1})
}

// followed notes that a known spelling came after the newest of the newcomers.
func (ns *newcomers) followed(sp *spelling) {
	if n := len(ns.list); n > 0 {
		ns.list[n-1].follower = sp
	}
}

// link lets each new spelling guess what followed it in this push.
func (ns *newcomers) link() {
	last := &unknownSpelling // of the newcomer on the line before
	for i := range ns.list {
		n := &ns.list[i]
		if n.previous != &unknownSpelling {
			last = n.previous
		}
		if n.spelling.raw == "" {
			last = &unknownSpelling
			continue
		}
		if last != &unknownSpelling {
			last.next.Store(n.spelling)
		}
		last = n.spelling
		if n.follower != nil {
			n.spelling.next.Store(n.follower)
		}
	}
}
