package wire

import (
	"slices"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// Kind is a family's type in the text format. The text format has no gauge
// histogram. It is written as a histogram, as client_golang's servers do:
// untyped would hide from every parser that le is a bucket's bound.
type Kind byte

// The kinds, and NoKind for what is none.
const (
	NoKind Kind = iota
	Counter
	Gauge
	Untyped
	Summary
	Histogram
	Unsaid // nobody said it
	partOf // not a type: the name belongs to a summary or histogram
)

var kindNames = [...]string{Counter: "counter", Gauge: "gauge", Untyped: "untyped", Summary: "summary", Histogram: "histogram", Unsaid: "unsaid"}

// String is the type's word in the text format.
func (k Kind) String() string { return kindNames[k] }

// Valid reports whether a family may be of the kind.
func (k Kind) Valid() bool { return k > NoKind && k < partOf }

// Suffixes are what a family of the kind appends to its name.
func (k Kind) Suffixes() []string {
	switch k {
	case Summary:
		return summarySuffixes
	case Histogram:
		return histogramSuffixes
	default:
		return nil
	}
}

var (
	summarySuffixes   = []string{"_sum", "_count"}
	histogramSuffixes = []string{"_bucket", "_sum", "_count"}
)

// Shape is which families a body has, in their order. Gateways of one kind
// report the same ones, so bodies share their shapes, and what depends on it is
// worked out once for many. It is not changed after it was built.
type Shape struct {
	Families []Header
	text     int // length of all headers as text, in bytes
	bytes    int // of memory
}

// Header is what is said about a family before its samples.
type Header struct {
	Name string
	Kind Kind
	From Kind // what was made gauges; NoKind if it is what it was
	Help string
}

// append appends the HELP and TYPE lines.
func (h *Header) append(dst []byte) []byte {
	if h.Help != "" {
		dst = append(dst, "# HELP "...)
		dst = exposition.AppendName(dst, h.Name)
		dst = append(dst, ' ')
		dst = exposition.AppendHelp(dst, h.Help)
		dst = append(dst, '\n')
	}
	if h.Kind == Unsaid {
		return dst
	}
	dst = append(dst, "# TYPE "...)
	dst = exposition.AppendName(dst, h.Name)
	dst = append(dst, ' ')
	dst = append(dst, h.Kind.String()...)
	return append(dst, '\n')
}

// equal reports whether two shapes have the same families.
func (s *Shape) equal(other *Shape) bool {
	return s == other || other != nil && slices.Equal(s.Families, other.Families)
}

// NewShape returns a shape with strings of its own: the caller's would keep its
// whole report alive.
func NewShape(families []Header) *Shape {
	length := 0
	for _, f := range families {
		length += len(f.Name) + len(f.Help)
	}
	var all strings.Builder
	all.Grow(length)
	for _, f := range families {
		all.WriteString(f.Name)
		all.WriteString(f.Help)
	}
	s := &Shape{Families: make([]Header, len(families)), bytes: length + headerBytes*len(families)}
	rest := all.String()
	var line []byte
	for i, f := range families {
		name, help := len(f.Name), len(f.Name)+len(f.Help)
		s.Families[i] = Header{rest[:name], f.Kind, f.From, rest[name:help]}
		rest = rest[help:]
		line = f.append(line[:0])
		s.text += len(line)
	}
	return s
}

// headerBytes is what a header takes in memory beside its texts.
const headerBytes = 40
