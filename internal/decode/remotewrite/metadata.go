package remotewrite

import (
	"bytes"
	"fmt"
)

// kinds are what a sink calls the types of metrics, by their number. What the text format has no word for is what it looks like there:
// a gauge histogram is not one of its histograms, as its parts have other names.
var kinds = [...][]byte{
	1: []byte("counter"), 2: []byte("gauge"), 3: []byte("histogram"), 4: []byte("untyped"), // a gauge histogram
	5: []byte("summary"), 6: []byte("gauge"), 7: []byte("gauge"), // info and stateset
}

// kind is the type of a number, or nil where it says nothing.
func kind(n uint64) []byte {
	if n < uint64(len(kinds)) {
		return kinds[n]
	}
	return nil
}

// family brings a MetricMetadata, of version 1.0.
func (d *Decoder) family(b []byte) error {
	var name, help, is []byte
	m := message{rest: b}
	for m.next() {
		switch {
		case m.is(1, variable):
			is = kind(m.n)
		case m.is(2, lengthFirst):
			name = m.data
		case m.is(4, lengthFirst):
			help = m.data
		}
	}
	if m.err != nil {
		return fmt.Errorf("metadata of %.100q: %w", name, m.err)
	}
	return d.say(name, is, help)
}

// say brings what is said of a family.
func (d *Decoder) say(name, is, help []byte) error {
	if len(name) == 0 {
		return nil
	}
	if is != nil {
		if err := d.to.Type(name, is); err != nil {
			return d.refuse(0, err)
		}
	}
	if len(help) > 0 {
		if err := d.to.Help(name, help); err != nil {
			return d.refuse(0, err)
		}
	}
	return nil
}

// sayOf brings the Metadata of a series of version 2.0, unless the last series of this name brought the same.
func (d *Decoder) sayOf(name *symbol, has *content) error {
	var is, help uint64
	m := message{rest: has.metadata}
	for m.next() {
		switch {
		case m.is(1, variable):
			is = m.n
		case m.is(3, variable):
			help = m.n
		}
	}
	if m.err != nil {
		return d.of(m.err)
	}
	if is == 0 && help == 0 || name.kind == is && name.help == help {
		return nil
	}
	name.kind, name.help = is, help
	var text []byte
	if help != 0 {
		s, err := d.symbol(uint32(min(help, maxRef)))
		if err != nil {
			return d.refuse(0, err)
		}
		text = s.text
	}
	family := name.text
	if has.histograms == 0 {
		family = familyOf(family, kind(is))
	}
	return d.say(family, kind(is), text)
}

// familyOf is the family that a series of a classic histogram or summary is part of.
func familyOf(name, kind []byte) []byte {
	parts := [][]byte{[]byte("_count"), []byte("_sum"), []byte("_bucket")}
	switch string(kind) {
	case "histogram":
	case "summary":
		parts = parts[:2]
	default:
		return name
	}
	for _, part := range parts {
		if base, is := bytes.CutSuffix(name, part); is && len(base) > 0 {
			return base
		}
	}
	return name
}
