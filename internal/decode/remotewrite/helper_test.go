package remotewrite

import (
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
)

// join is a message of the fields.
func join(fields ...[]byte) (all []byte) {
	for _, f := range fields {
		all = append(all, f...)
	}
	return all
}

func tag(n int, wire byte) []byte { return binary.AppendUvarint(nil, uint64(n)<<3|uint64(wire)) }

func text(n int, s string) []byte {
	return append(binary.AppendUvarint(tag(n, lengthFirst), uint64(len(s))), s...)
}

func sub(n int, fields ...[]byte) []byte { return text(n, string(join(fields...))) }

func number(n int, v int64) []byte { return binary.AppendUvarint(tag(n, variable), uint64(v)) }

func double(n int, v float64) []byte {
	return binary.LittleEndian.AppendUint64(tag(n, eightBytes), math.Float64bits(v))
}

// packed are numbers, or nothing for none.
func packed(n int, values ...uint64) []byte {
	var all []byte
	for _, v := range values {
		all = binary.AppendUvarint(all, v)
	}
	return text(n, string(all))
}

// label is one of a series or exemplar in 1.0.
func label(name, value string) []byte { return sub(1, text(1, name), text(2, value)) }

func sampleOf(value float64, ms int64, more ...[]byte) []byte {
	return sub(2, append([][]byte{double(1, value), number(2, ms)}, more...)...)
}

// noted is what a decoder brought, a line each.
type noted struct {
	lines  []string
	refuse func(series string, ms int64) error
}

func (n *noted) note(format string, args ...any) error {
	n.lines = append(n.lines, fmt.Sprintf(format, args...))
	return nil
}

func (n *noted) Sample(series []byte, ms int64, value float64) error {
	if n.refuse != nil {
		if err := n.refuse(string(series), ms); err != nil {
			return err
		}
	}
	if value != value {
		return n.note("%s %x @%d", series, math.Float64bits(value), ms)
	}
	return n.note("%s %v @%d", series, value, ms)
}

func (n *noted) Histogram(series []byte, ms int64, message []byte) error {
	return n.note("%s %s @%d", series, shown(message, &dto.Histogram{}), ms)
}

func (n *noted) Exemplar(message []byte) error {
	return n.note("exemplar %s", shown(message, &dto.Exemplar{}))
}

func (n *noted) Start(ms int64) error { return n.note("start %d", ms) }

func (n *noted) Type(family, kind []byte) error { return n.note("%s is a %s", family, kind) }

func (n *noted) Help(family, text []byte) error { return n.note("%s: %q", family, text) }

// shown is a message as text, without the blanks that protobuf's package puts in at random.
func shown(b []byte, m proto.Message) string {
	if err := proto.Unmarshal(b, m); err != nil {
		return err.Error()
	}
	out, err := prototext.MarshalOptions{}.Marshal(m)
	if err != nil {
		return err.Error()
	}
	var compact []byte
	for i, c := range out {
		if c != ' ' || i > 0 && out[i-1] != ' ' && out[i-1] != ':' {
			compact = append(compact, c)
		}
	}
	return string(compact)
}

// read reads a request and returns what was brought, left out, and written.
func read(t testing.TB, version Version, body []byte, to *noted) (left []string, w Written, err error) {
	t.Helper()
	d := Decoder{
		SeriesBytes: 200, TextBytes: 10_000, Room: func(int) error { return nil },
		Refuse: func(samples int, why error) error {
			left = append(left, fmt.Sprintf("%d: %v", samples, why))
			return nil
		},
	}
	for range 2 { // a decoder has nothing left of the request before
		left, to.lines = nil, nil
		w, err = d.Decode(version, body, to)
		require.Empty(t, d.symbols)
	}
	return left, w, err
}
