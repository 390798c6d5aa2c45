package block

import (
	"encoding/binary"
	"runtime"
	"slices"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Samples are some samples, a column for each part. Times are in milliseconds since the epoch.
type Samples struct {
	IDs    []series.ID
	Times  []int64
	Values []float64
}

// maxSamples is how many a block may have.
const maxSamples = 1 << 24

// Encoder makes blocks. It keeps its scratch space, which is as large as the highest number
// of a series and as the largest block. It is for one goroutine at a time.
type Encoder struct {
	places []uint32    // by series: its place among those of the block, and 1; 0 for none
	ids    []series.ID // by place
	ends   []uint32    // by place: how many values it has, then where they end
	values []float64   // by place and arrival
	packed []byte

	series, order, times runWriter
}

// Encode packs the samples of all parts, in this order. They are one at least, and 16 M at most.
func (e *Encoder) Encode(parts []Samples) *Block {
	n := e.encodeKeys(parts)
	e.encodeValues(parts, n)
	var head []byte
	for _, size := range []int{n, len(e.ids), len(e.series.data), len(e.order.data), len(e.times.data)} {
		head = binary.AppendUvarint(head, uint64(size))
	}
	b, err := Open(slices.Concat(head, e.series.data, e.order.data, e.times.data, e.packed))
	if err != nil {
		panic("BUG: a block cannot be read again: " + err.Error())
	}
	for _, id := range e.ids {
		e.places[id] = 0
	}
	return b
}

// encodeKeys packs who has samples when, and returns how many there are.
func (e *Encoder) encodeKeys(parts []Samples) (n int) {
	e.ids, e.ends = e.ids[:0], e.ends[:0]
	e.series.reset(1)
	e.order.reset(1)
	e.times.reset(0)
	for _, p := range parts {
		n += len(p.IDs)
		if len(p.IDs) > 0 {
			if most := int(slices.Max(p.IDs)) + 1; most > len(e.places) {
				e.places = slices.Grow(e.places, most-len(e.places))[:most]
			}
		}
		for _, id := range p.IDs {
			if e.places[id] == 0 {
				e.ids, e.ends = append(e.ids, id), append(e.ends, 0)
				e.places[id] = uint32(len(e.ids))
				e.series.add(int64(id))
			}
			place := e.places[id] - 1
			e.ends[place]++
			e.order.add(int64(place))
		}
		for _, t := range p.Times {
			e.times.add(t)
		}
		runtime.Gosched() // who waits goes first
	}
	e.series.flush()
	e.order.flush()
	e.times.flush()
	return n
}

// encodeValues packs the values, series by series.
func (e *Encoder) encodeValues(parts []Samples, n int) {
	e.values = slices.Grow(e.values[:0], n)[:n]
	from := uint32(0)
	for place, count := range e.ends {
		e.ends[place] = from
		from += count
	}
	for _, p := range parts {
		for i, id := range p.IDs {
			end := &e.ends[e.places[id]-1]
			e.values[*end] = p.Values[i]
			*end++
		}
		runtime.Gosched()
	}
	e.packed = e.packed[:0]
	from = 0
	for place, end := range e.ends {
		if place%1024 == 0 {
			runtime.Gosched()
		}
		for ; from < end; from = min(from+chunkSize, end) {
			e.packed = appendChunk(e.packed, e.values[from:min(from+chunkSize, end)])
		}
	}
	e.packed = append(e.packed, make([]byte, padding)...)
}
