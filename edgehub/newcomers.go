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
// line was read.
type newcomer struct {
	raw     []byte // a part of the body
	name    span   // of the series or the family
	gateway span
	text    span // canonical text of a series, type or help text
	hash    uint32
	group   uint32
	kind    lineKind
	odd     bool
	quoted  bool
	owner   *member  // set by table.checkRoom
	id      seriesID // set by table.add
}

// span is a part of a newcomer's raw bytes, or of the scratch space when from is
// negative: then it begins at ^from.
type span struct{ from, len int32 }

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

func (ns *newcomers) bytes(n *newcomer, s span) []byte {
	if s.from < 0 {
		from := int(^s.from)
		return ns.scratch[from : from+int(s.len)]
	}
	return n.raw[s.from : s.from+s.len]
}

// canonical says whether a series was written as the table keeps it.
func (n *newcomer) canonical() bool { return n.text.from == 0 && int(n.text.len) == len(n.raw) }

// seriesNames steps through the newcomers that are series.
type seriesNames struct{ rest []newcomer }

func (ns *newcomers) series() seriesNames { return seriesNames{ns.list} }

func (s *seriesNames) next() *newcomer {
	for s.rest[0].kind != seriesLine {
		s.rest = s.rest[1:]
	}
	n := &s.rest[0]
	s.rest = s.rest[1:]
	return n
}

// addSeries checks a series' spelling and notes it.
func (ns *newcomers) addSeries(raw []byte, hash uint32) error {
	s, err := ns.parser.Parse(raw)
	if err != nil {
		return err
	}
	n := newcomer{raw: raw, hash: hash, odd: s.OddBound, quoted: s.Quoted, group: uint32(s.Group >> 32)}
	n.name = ns.span(raw, s.Name)
	if value, ok := ns.parser.Label(ns.label); ok {
		n.gateway = ns.span(raw, value)
	}
	if len(s.Text) == len(raw) && &s.Text[0] == &raw[0] {
		n.text = span{0, int32(len(raw))}
	} else {
		n.text = ns.copied(s.Text)
	}
	ns.list = append(ns.list, n)
	return nil
}

// span finds where a part lies in raw. What had escapes is kept in the scratch
// space.
func (ns *newcomers) span(raw, part []byte) span {
	if i := bytes.Index(raw, part); i >= 0 {
		return span{int32(i), int32(len(part))}
	}
	return ns.copied(part)
}

func (ns *newcomers) copied(part []byte) span {
	from := int32(len(ns.scratch))
	ns.scratch = append(ns.scratch, part...)
	return span{^from, int32(len(part))}
}

// addMetadata notes a TYPE or HELP line.
func (ns *newcomers) addMetadata(found exposition.Kind, raw, name, text []byte, hash uint32) {
	kind := helpLine
	if found == exposition.Type {
		kind = typeLine
	}
	ns.list = append(ns.list, newcomer{
		raw: raw, name: ns.span(raw, name), text: ns.span(raw, text),
		hash: hash, kind: kind,
	})
}
