package otlp

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// What OpenMetrics calls the ids of a trace, and how long an exemplar's labels may be.
const (
	traceLabel        = "trace_id"
	spanLabel         = "span_id"
	maxExemplarRunes  = 128
	maxExemplarLabels = 32
)

// exemplar is one of a point, as it came.
type exemplar struct {
	value       float64
	at          uint64
	trace, span []byte
	message     []byte // that has its attributes
}

// addExemplar reads one. Without a value it is none.
func (r *reader) addExemplar(b []byte) error {
	e := exemplar{message: b}
	valued := false
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 2<<3 | fixed64:
			e.at = m.value
		case 3<<3 | fixed64:
			e.value, valued = m.double(), true
		case 6<<3 | fixed64:
			e.value, valued = float64(int64(m.value)), true
		case 4<<3 | block:
			e.span = m.bytes
		case 5<<3 | block:
			e.trace = m.bytes
		}
	}
	if valued {
		r.exemplars = append(r.exemplars, e)
	}
	return m.end()
}

// bringExemplars brings those of the sample that was brought last.
func (r *reader) bringExemplars(all []exemplar) error {
	for _, e := range all {
		labels, err := e.labels()
		if err != nil {
			return err
		}
		r.message = r.message[:0]
		for _, l := range labels {
			r.message = protowire.AppendTag(r.message, 1, protowire.BytesType)
			r.message = protowire.AppendVarint(r.message, uint64(sizeOf(l.name)+sizeOf(l.value)))
			r.message = appendString(appendString(r.message, 1, l.name), 2, l.value)
		}
		r.message = appendNumber(r.message, 2, e.value)
		if at := e.at / 1e6; at != 0 {
			var time []byte
			time = protowire.AppendVarint(protowire.AppendTag(time, 1, protowire.VarintType), at/1000)
			time = protowire.AppendVarint(protowire.AppendTag(time, 2, protowire.VarintType), at%1000*1e6)
			r.message = protowire.AppendBytes(protowire.AppendTag(r.message, 3, protowire.BytesType), time)
		}
		if err := r.to.Exemplar(r.message); err != nil {
			return err
		}
	}
	return nil
}

// textLabel is a label of an exemplar.
type textLabel struct{ name, value string }

// labels are its ids, and its attributes unless they are too long. Their names are not translated.
func (e *exemplar) labels() (labels []textLabel, err error) {
	for _, id := range []struct {
		name string
		id   []byte
	}{{traceLabel, e.trace}, {spanLabel, e.span}} {
		if strings.Trim(view(id.id), "\x00") != "" {
			labels = append(labels, textLabel{id.name, hex.EncodeToString(id.id)})
		}
	}
	ids := len(labels)
	m := message{rest: e.message}
	for m.next() {
		if m.tag != 7<<3|block || len(labels) > maxExemplarLabels {
			continue
		}
		a, err := parseAttribute(m.bytes)
		if err != nil {
			return nil, err
		}
		value, _, err := text(a.value, nil)
		if err != nil {
			return nil, err
		}
		labels = append(labels, textLabel{string(a.key), string(value)})
	}
	runes := 0
	for _, l := range labels {
		runes += utf8.RuneCountInString(l.name) + utf8.RuneCountInString(l.value)
	}
	if runes > maxExemplarRunes || len(labels) > maxExemplarLabels {
		labels = labels[:ids]
	}
	labels = slices.DeleteFunc(labels, func(l textLabel) bool { return l.value == "" })
	slices.SortStableFunc(labels, func(a, b textLabel) int { return strings.Compare(a.name, b.name) })
	return labels, nil
}

// sizeOf is the size of a string as a field with a number below 16.
func sizeOf(s string) int { return 1 + protowire.SizeBytes(len(s)) }

func appendString(dst []byte, number protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, number, protowire.BytesType), s)
}

func appendNumber(dst []byte, number protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, number, protowire.Fixed64Type), math.Float64bits(v))
}
