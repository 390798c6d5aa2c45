package groups

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/internal/framing"
)

// A group's file is a segment of one record. Its meta is the labels and times, its body the families as
// delimited protobuf, as a scrape gives them.
const (
	magic         = "hubgroup"
	version       = 1
	fileNumber    = 1
	maxGroupBytes = framing.MaxBodyBytes
	own, others   = 1, 0 // whether a group has a time to live of its own
)

// family is f as a message, with some of the metrics.
func (f *Family) message(metrics []*dto.Metric) *dto.MetricFamily {
	m := &dto.MetricFamily{Name: &f.Name, Type: f.Type.Enum(), Metric: metrics}
	if f.Help != "" {
		m.Help = &f.Help
	}
	return m
}

// measure counts what a group has, and returns its file.
func (g *Group) measure() []byte {
	b := framing.NewSegmentHeader(magic, version, fileNumber)
	b = framing.Begin(b)
	b = binary.AppendUvarint(b, uint64(len(g.Labels)))
	for _, l := range g.Labels {
		b = protowire.AppendString(protowire.AppendString(b, l.Name), l.Value)
	}
	b = binary.AppendVarint(binary.AppendVarint(b, nanos(g.Pushed)), nanos(g.Failed))
	if g.TTL != nil {
		b = binary.AppendVarint(append(b, own), int64(*g.TTL))
	} else {
		b = append(b, others)
	}
	meta := len(b) - framing.SegmentHeader - framing.RecordHeader
	g.series = 2 // the times of its pushes
	for _, f := range g.Families {
		g.series += f.series
		m := f.message(f.Metrics)
		b = binary.AppendUvarint(b, uint64(proto.Size(m)))
		var err error
		if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(b, m); err != nil {
			panic("BUG: a family that was checked is no message: " + err.Error())
		}
	}
	g.bytes = int64(len(b))
	framing.Finish(b[framing.SegmentHeader:], meta)
	framing.Place(b[framing.SegmentHeader:], fileNumber, framing.SegmentHeader)
	return b
}

// nanos is a time as a number, 0 for the zero time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n)
}

// parse reads a group's file.
func parse(b []byte, seed maphash.Seed) (*Group, error) {
	v, ok := framing.ParseSegmentHeader(b, magic, fileNumber)
	if !ok {
		return nil, fmt.Errorf("it does not begin as a group's file")
	}
	if v != version {
		return nil, fmt.Errorf("it is of version %d, and this program reads %d", v, version)
	}
	record := b[framing.SegmentHeader:]
	if len(record) < framing.RecordHeader {
		return nil, fmt.Errorf("it ends after %d bytes", len(b))
	}
	h, ok := framing.ParseHeader(record, fileNumber, framing.SegmentHeader)
	if !ok || h.Ref.End() != int64(len(b)) {
		return nil, fmt.Errorf("its record does not fit its %d bytes", len(b))
	}
	meta, body := record[framing.RecordHeader:framing.RecordHeader+h.Ref.Meta], record[framing.RecordHeader+h.Ref.Meta:]
	if framing.Sum(meta) != h.MetaSum || framing.Sum(body) != h.BodySum {
		return nil, fmt.Errorf("its checksum is wrong")
	}
	g, err := parseMeta(meta)
	if err != nil {
		return nil, err
	}
	pushed, refused := decodeProto(body)
	if refused != nil {
		return nil, refused
	}
	c := checker{limits: unlimited, labels: g.Labels, seed: seed}
	if g.Families, refused = c.families(pushed); refused != nil {
		return nil, refused
	}
	g.measure()
	return g, nil
}

// unlimited is for what was within its limits when it was pushed.
var unlimited = Limits{SeriesBytes: maxGroupBytes, Labels: maxGroupBytes}

func parseMeta(meta []byte) (*Group, error) {
	r := framing.Reader{Rest: meta}
	g := &Group{}
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		name := string(r.Text())
		g.Labels = append(g.Labels, Label{Name: name, Value: string(r.Text())})
	}
	g.Pushed, g.Failed = fromNanos(r.Varint()), fromNanos(r.Varint())
	if r.Byte() == own {
		ttl := time.Duration(r.Varint())
		g.TTL = &ttl
	}
	if r.Bad || len(r.Rest) > 0 {
		return nil, fmt.Errorf("its labels and times make no sense")
	}
	return g, nil
}
