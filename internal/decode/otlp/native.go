package otlp

import (
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The schemas of native histograms with exponential buckets, which are OpenTelemetry's scales.
const (
	minSchema, maxSchema = -4, 8

	// zeroThreshold is Prometheus' for all histograms that come by OTLP.
	zeroThreshold = 1e-128
	// maxGap is how many empty buckets in a row cost less than one more span.
	maxGap = 2
)

var errIndex = errors.New("a bucket of its lies beyond all numbers")

// native is what is read of an ExponentialHistogramDataPoint.
type native struct {
	times              times
	count, zero        uint64
	sum                float64
	scale              int32
	positive, negative side
	ended              bool
}

// side is the buckets on one side of zero, from one offset on.
type side struct {
	offset int32
	counts []uint64
	spans  []span
	deltas []int64
}

type span struct {
	offset int32
	length uint32
}

// exponential reads an ExponentialHistogramDataPoint.
func (r *reader) exponential(b []byte) (err error) {
	h := &r.native
	*h = native{positive: h.positive.emptied(), negative: h.negative.emptied()}
	r.beginPoint("")
	m := message{rest: b}
	for from := m.rest; m.next(); from = m.rest {
		switch m.tag {
		case 1<<3 | block:
			err = r.attribute(&m, from)
		case 2<<3 | fixed64:
			h.times.start = m.value
		case 3<<3 | fixed64:
			h.times.at = m.value
		case 4<<3 | fixed64:
			h.count = m.value
		case 5<<3 | fixed64:
			h.sum = m.double()
		case 6<<3 | varint:
			h.scale = m.sint32()
		case 7<<3 | fixed64:
			h.zero = m.value
		case 8<<3 | block:
			err = h.positive.read(m.bytes)
		case 9<<3 | block:
			err = h.negative.read(m.bytes)
		case 10<<3 | varint:
			h.ended = m.value&noValue != 0
		case 11<<3 | block:
			err = r.addExemplar(m.bytes)
		}
		if err != nil {
			return err
		}
	}
	if m.broken {
		return errWire
	}
	if err := h.settle(); err != nil {
		return err
	}
	if err := r.label(); err != nil {
		return err
	}
	r.message = h.append(r.message[:0])
	if err := r.to.Histogram(r.name(r.metric.family, "", ""), ms(h.times.at), r.message); err != nil {
		return err
	}
	if err := r.start(h.times); err != nil {
		return err
	}
	r.target.saw(h.times.at)
	return r.bringExemplars(r.exemplars)
}

func (s side) emptied() side {
	return side{counts: s.counts[:0], spans: s.spans[:0], deltas: s.deltas[:0]}
}

// read reads Buckets.
func (s *side) read(b []byte) error {
	m := message{rest: b}
	for m.next() {
		switch m.tag {
		case 1<<3 | varint:
			s.offset = m.sint32()
		case 2<<3 | varint:
			s.counts = append(s.counts, m.value)
		case 2<<3 | block:
			packed := message{rest: m.bytes}
			for len(packed.rest) > 0 {
				s.counts = append(s.counts, packed.varint())
			}
			if packed.broken {
				return errWire
			}
		}
	}
	return m.end()
}

// settle makes spans and deltas of the counts, in a schema that Prometheus has.
func (h *native) settle() error {
	if h.scale < minSchema {
		return fmt.Errorf("its scale is %d, and Prometheus has none below %d", h.scale, minSchema)
	}
	down := max(h.scale-maxSchema, 0)
	h.scale -= down
	if h.ended {
		h.sum, h.count = stale, math.Float64bits(stale)
	}
	if err := h.positive.settle(down); err != nil {
		return err
	}
	return h.negative.settle(down)
}

// settle does so for one side, with 2^down buckets made one. OpenTelemetry's bucket 0 ends at the base, Prometheus' at 1.
func (s *side) settle(down int32) error {
	next, before := int64(0), uint64(0) // next is the index behind the last bucket
	add := func(count uint64) {
		s.deltas = append(s.deltas, int64(count-before))
		s.spans[len(s.spans)-1].length++
		before = count
		next++
	}
	for i := 0; i < len(s.counts); {
		index, count := (int64(s.offset)+int64(i))>>min(down, 63)+1, uint64(0)
		for ; i < len(s.counts) && (int64(s.offset)+int64(i))>>min(down, 63)+1 == index; i++ {
			count += s.counts[i]
		}
		if count == 0 {
			continue
		}
		if index > math.MaxInt32 {
			return errIndex
		}
		if gap := index - next; len(s.spans) == 0 || gap > maxGap {
			if gap > math.MaxInt32 {
				return errIndex
			}
			s.spans = append(s.spans, span{offset: int32(gap)})
			next = index
		}
		for next < index {
			add(0)
		}
		add(count)
	}
	return nil
}

// append appends it as an io.prometheus.client.Histogram.
func (h *native) append(dst []byte) []byte {
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), h.count)
	dst = appendNumber(dst, 2, h.sum)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 5, protowire.VarintType), zigzag(int64(h.scale)))
	dst = appendNumber(dst, 6, zeroThreshold)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 7, protowire.VarintType), h.zero)
	dst = h.negative.append(dst, 9)
	return h.positive.append(dst, 12)
}

// append appends spans, and deltas with the next number.
func (s *side) append(dst []byte, number protowire.Number) []byte {
	for _, span := range s.spans {
		offset, length := zigzag(int64(span.offset)), uint64(span.length)
		dst = protowire.AppendTag(dst, number, protowire.BytesType)
		dst = protowire.AppendVarint(dst, uint64(2+protowire.SizeVarint(offset)+protowire.SizeVarint(length)))
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), offset)
		dst = protowire.AppendVarint(protowire.AppendTag(dst, 2, protowire.VarintType), length)
	}
	for _, d := range s.deltas {
		dst = protowire.AppendVarint(protowire.AppendTag(dst, number+1, protowire.VarintType), zigzag(d))
	}
	return dst
}

func zigzag(v int64) uint64 { return protowire.EncodeZigZag(v) }
