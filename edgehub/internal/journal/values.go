package journal

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Values are written some together, in as few bytes as are found without a branch for each: what takes time here, a push waits
// for, and what takes room, it waits for as well. Most values are whole numbers, and those of a family, which stand together
// in a push, are of a like size. So each group has a byte that says of how many bytes its values are: up to wholeBytes for whole
// numbers, in zigzag, or wide for floats.
const (
	together   = 8
	wholeBytes = 6
	wide       = 8
)

// appendValues appends values.
func appendValues(dst []byte, values []float64) []byte {
	end := len(dst)
	dst = slices.Grow(dst, valuesBytes(len(values)))[:end+valuesBytes(len(values))]
	for len(values) >= together {
		end += putGroup(dst[end:], (*[together]float64)(values))
		values = values[together:]
	}
	if n := len(values); n > 0 {
		var last [together]float64
		copy(last[:], values)
		putGroup(dst[end:], &last)
		end += 1 + n*int(dst[end])
	}
	return dst[:end]
}

// valuesBytes is the room that so many values take at most, with what is written behind them for a while.
func valuesBytes(n int) int { return groups(n) * groupBytes }

// groups is how many there are of so many values.
func groups(n int) int { return (n + together - 1) / together }

// groupBytes is what a group takes at most.
const groupBytes = 1 + together*wide

// putGroup writes a group, and returns its length. The room behind it is written to as well.
func putGroup(dst []byte, v *[together]float64) int {
	a, notA := whole(v[0])
	b, notB := whole(v[1])
	c, notC := whole(v[2])
	d, notD := whole(v[3])
	e, notE := whole(v[4])
	f, notF := whole(v[5])
	g, notG := whole(v[6])
	h, notH := whole(v[7])
	size := (bits.Len64(a|b|c|d|e|f|g|h) + 7) / 8
	_ = dst[:groupBytes]
	if notA|notB|notC|notD|notE|notF|notG|notH != 0 || size > wholeBytes {
		dst[0] = wide
		for i := range v {
			binary.LittleEndian.PutUint64(dst[1+wide*i:], math.Float64bits(v[i]))
		}
		return groupBytes
	}
	dst[0] = byte(size)
	at := dst[1:] // each is written as eight bytes, of which the next one takes what is too much
	binary.LittleEndian.PutUint64(at, a)
	binary.LittleEndian.PutUint64(at[size:], b)
	binary.LittleEndian.PutUint64(at[2*size:], c)
	binary.LittleEndian.PutUint64(at[3*size:], d)
	binary.LittleEndian.PutUint64(at[4*size:], e)
	binary.LittleEndian.PutUint64(at[5*size:], f)
	binary.LittleEndian.PutUint64(at[6*size:], g)
	binary.LittleEndian.PutUint64(at[7*size:], h)
	return 1 + together*size
}

// unit is a float among those whose neighbours are one apart, on both sides, by 1<<51.
const unit = 3 << 51

// whole is a value in zigzag, with 0 for not where it is a whole number of no more than wholeBytes. To be added to unit
// makes a number whole, and its low bits those of an integer; what is beyond them becomes larger than wholeBytes.
func whole(v float64) (zigzag, not uint64) {
	sum := v + unit
	n := int64(math.Float64bits(sum) - math.Float64bits(unit))
	return uint64(n<<1 ^ n>>63), math.Float64bits(sum-unit) ^ math.Float64bits(v) // 0 has no sign then
}

// values reads as many values as dst has, and nothing must be left.
func (r *reader) values(dst []float64) {
	for len(dst) > 0 {
		group := dst[:min(together, len(dst))]
		dst = dst[len(group):]
		size := int(r.Byte())
		if r.Bad = r.Bad || size > wholeBytes && size != wide || size*len(group) > len(r.Rest); r.Bad {
			return
		}
		var text [together * wide]byte
		copy(text[:], r.Rest[:size*len(group)])
		r.Rest = r.Rest[size*len(group):]
		mask := uint64(1)<<(8*size) - 1
		for i := range group {
			v := binary.LittleEndian.Uint64(text[i*size:]) & mask
			if size == wide {
				group[i] = math.Float64frombits(v)
			} else {
				group[i] = float64(int64(v>>1) ^ -int64(v&1))
			}
		}
	}
	r.Bad = len(r.Rest) > 0
}
