package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"sync"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Stretch is how many samples Keys and Series yield at a time, about.
const Stretch = 8192

// Block is some samples. It does not change, and may be read by any number of goroutines.
type Block struct {
	samples, count               int // count of series
	data                         []byte
	series, order, times, values []byte
}

// Len is the number of samples.
func (b *Block) Len() int { return b.samples }

// Size is the number of bytes.
func (b *Block) Size() int { return len(b.data) }

// Data is the bytes, of which Open makes the block again.
func (b *Block) Data() []byte { return b.data }

var errDamaged = errors.New("damaged block")

// Open reads a block, which keeps the bytes. It checks all that there is to check, so that
// reading the samples cannot fail.
func Open(data []byte) (*Block, error) {
	b := &Block{data: data}
	var sizes [5]int
	for i := range sizes {
		size, n := binary.Uvarint(data)
		if n <= 0 || size > maxSamples*16 {
			return nil, fmt.Errorf("%w: its head", errDamaged)
		}
		sizes[i], data = int(size), data[n:]
	}
	b.samples, b.count = sizes[0], sizes[1]
	for i, section := range []*[]byte{&b.series, &b.order, &b.times} {
		size := sizes[2+i]
		if size > len(data) {
			return nil, fmt.Errorf("%w: it has %d bytes where a section of %d is to be", errDamaged, len(data), size)
		}
		*section, data = data[:size:size], data[size:]
	}
	b.values = data
	return b, b.check()
}

func (b *Block) check() error {
	// Each series has a chunk, and that two bytes, so nobody is made to reserve much for little.
	if b.samples == 0 || b.samples > maxSamples || b.count > b.samples || len(b.values) < padding+2*b.count {
		return fmt.Errorf("%w: %d samples of %d series, with %d bytes of values", errDamaged, b.samples, b.count, len(b.values))
	}
	if !checkRuns(b.series, 1, b.count, func(r run) bool { return r.first >= 0 && r.first <= math.MaxUint32-int64(r.count) }) {
		return fmt.Errorf("%w: its series", errDamaged)
	}
	seen := int64(0)
	if !checkRuns(b.order, 1, b.samples, func(r run) bool {
		ok := r.first >= 0 && r.first <= seen
		seen = max(seen, r.first+int64(r.count))
		return ok && seen <= int64(b.count)
	}) || seen != int64(b.count) {
		return fmt.Errorf("%w: the order of its samples", errDamaged)
	}
	if !checkRuns(b.times, 0, b.samples, func(run) bool { return true }) {
		return fmt.Errorf("%w: its times", errDamaged)
	}
	rest := b.values
	for _, n := range b.counts(nil, 0, b.samples) {
		for left := int(n); left > 0; left -= chunkSize {
			if !isChunk(rest, min(left, chunkSize)) {
				return fmt.Errorf("%w: its values", errDamaged)
			}
			rest = rest[chunkEnd(rest, min(left, chunkSize)):]
		}
	}
	if len(rest) > padding {
		return fmt.Errorf("%w: %d bytes too many", errDamaged, len(rest)-padding)
	}
	return nil
}

// spans calls f with the samples of a stretch, some at a time: of series that follow each other,
// from a place on, and of one time. It ends when f returns false.
func (b *Block) spans(from, to int, f func(place, count int, time int64) bool) {
	order, times := runReader{data: b.order, step: 1}, runReader{data: b.times}
	var places, time run
	for at := 0; at < to; {
		if places.count == 0 {
			places, _ = order.read()
		}
		if time.count == 0 {
			time, _ = times.read()
		}
		n := min(places.count, time.count, to-at)
		if at < from {
			n = min(n, from-at)
		} else if !f(int(places.first), n, time.first) {
			return
		}
		at += n
		places.first += int64(n)
		places.count -= n
		time.count -= n
	}
}

// counts puts into dst how many samples of a stretch each series has, by place.
func (b *Block) counts(dst []uint32, from, to int) []uint32 {
	dst = room(dst, b.count+1)
	clear(dst)
	// First by how many more each has than the one before it.
	order := runReader{data: b.order, step: 1}
	for at := 0; at < to; {
		r, _ := order.read()
		if first, end := max(at, from), min(at+r.count, to); first < end {
			place := int(r.first) - at
			dst[place+first]++
			dst[place+end]--
		}
		at += r.count
	}
	n := uint32(0)
	for place := range dst {
		n += dst[place]
		dst[place] = n
	}
	return dst[:b.count]
}

// numbers puts the numbers of the series into dst, by place.
func (b *Block) numbers(dst []series.ID) []series.ID {
	dst = room(dst, b.count)[:0]
	r := runReader{data: b.series, step: 1}
	for len(dst) < b.count {
		next, _ := r.read()
		for i := range next.count {
			dst = append(dst, series.ID(next.first+int64(i)))
		}
	}
	return dst
}

// room returns a slice of a length, in the place of one that is not used any more.
func room[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// scratch is what reading a block takes.
type scratch struct {
	numbers           []series.ID // by place
	all, before, ends []uint32    // likewise
	ids               []series.ID
	times             []int64
	values            []float64
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// Keys yields the series and times of the samples from one on and before another, without
// values, as they came. What it yields ends at a multiple of Stretch, and stays as it is until the next.
func (b *Block) Keys(from, to int) iter.Seq[Samples] {
	return func(yield func(Samples) bool) {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		s.numbers = b.numbers(s.numbers)
		s.ids, s.times = room(s.ids, Stretch), room(s.times, Stretch)
		n, at, goesOn := 0, from, true
		b.spans(from, to, func(place, count int, time int64) bool {
			for count > 0 {
				some := min(count, Stretch-at%Stretch)
				copy(s.ids[n:], s.numbers[place:place+some])
				for i := range some {
					s.times[n+i] = time
				}
				n, at, place, count = n+some, at+some, place+some, count-some
				if at%Stretch == 0 {
					if goesOn = yield(Samples{IDs: s.ids[:n], Times: s.times[:n]}); !goesOn {
						return false
					}
					n = 0
				}
			}
			return true
		})
		if n > 0 && goesOn {
			yield(Samples{IDs: s.ids[:n], Times: s.times[:n]})
		}
	}
}

// Append appends all samples to columns, as they came.
func (b *Block) Append(dst Samples) Samples {
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	s.numbers = b.numbers(s.numbers)
	s.all = b.counts(s.all, 0, b.samples)
	s.values = room(s.values, b.samples)
	s.ends = room(s.ends, b.count)
	n, data := 0, b.values
	for place, all := range s.all {
		s.ends[place] = uint32(n)
		for end := n + int(all); n < end; {
			out := s.values[n:min(n+chunkSize, end)]
			data = data[readChunk(out, data):]
			n += len(out)
		}
	}
	at := len(dst.IDs)
	dst.IDs = slices.Grow(dst.IDs, b.samples)[:at+b.samples]
	dst.Times = slices.Grow(dst.Times, b.samples)[:at+b.samples]
	dst.Values = slices.Grow(dst.Values, b.samples)[:at+b.samples]
	b.spans(0, b.samples, func(place, count int, time int64) bool {
		copy(dst.IDs[at:], s.numbers[place:place+count])
		next, times, values := s.ends[place:place+count], dst.Times[at:at+count], dst.Values[at:at+count]
		for i := range next {
			times[i] = time
			values[i] = s.values[next[i]]
			next[i]++
		}
		at += count
		return true
	})
	return dst
}

// nowhere is in the place of a series that is not wanted.
const nowhere = math.MaxUint32

// Series yields the samples from one on and before another of the series that are wanted, one
// series after the other and those of each as they came. What it yields stays as it is until the next.
func (b *Block) Series(from, to int, wanted func(series.ID) bool) iter.Seq[Samples] {
	return func(yield func(Samples) bool) {
		s := scratches.Get().(*scratch)
		defer scratches.Put(s)
		s.numbers = b.numbers(s.numbers)
		s.all, s.before = b.counts(s.all, 0, b.samples), b.counts(s.before, 0, from)
		n := b.layTimes(s, from, to, wanted)
		s.ids, s.values = room(s.ids, Stretch+chunkSize), room(s.values, Stretch+chunkSize)
		done, begun, data := 0, 0, b.values
		for place, id := range s.numbers {
			if done+begun == n {
				break
			}
			all := int(s.all[place])
			if s.ends[place] == nowhere {
				for ; all > 0; all -= chunkSize {
					data = data[chunkEnd(data, min(all, chunkSize)):]
				}
				continue
			}
			first, count := int(s.before[place]), int(s.ends[place])-done-begun
			for at := 0; at < all; at += chunkSize {
				out := s.values[begun : begun+min(all-at, chunkSize)]
				data = data[readChunk(out, data):]
				low, high := max(first-at, 0), min(first+count-at, len(out))
				if low >= high {
					continue
				}
				if low > 0 {
					copy(out, out[low:high])
				}
				ids := s.ids[begun : begun+high-low]
				for i := range ids {
					ids[i] = id
				}
				if begun += len(ids); begun >= Stretch {
					if !yield(Samples{s.ids[:begun], s.times[done : done+begun], s.values[:begun]}) {
						return
					}
					done, begun = done+begun, 0
				}
			}
		}
		if begun > 0 {
			yield(Samples{s.ids[:begun], s.times[done : done+begun], s.values[:begun]})
		}
	}
}

// layTimes puts the times of the samples that are wanted into the order in which they are yielded,
// and where those of each series end. It returns how many there are.
func (b *Block) layTimes(s *scratch, from, to int, wanted func(series.ID) bool) (n int) {
	s.ends = b.counts(s.ends, from, to)
	next := uint32(0)
	for place, count := range s.ends {
		if count > 0 && wanted(s.numbers[place]) { // what has none there may be no series any more
			s.ends[place] = next
			next += count
		} else {
			s.ends[place] = nowhere
		}
	}
	s.times = room(s.times, int(next))
	all, times := s.ends, s.times
	b.spans(from, to, func(place, count int, time int64) bool {
		ends := all[place : place+count]
		for i, end := range ends {
			if end != nowhere {
				times[end] = time
				ends[i] = end + 1
			}
		}
		return true
	})
	return int(next)
}
