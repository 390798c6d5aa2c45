package block

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// A chunk is some values of one series that follow each other, chunkSize at most. Most are
// written with few decimals: counters have none, gauges two or three. Such are whole numbers
// of tenths, hundredths and so on, of which the first is written, and how far each is from the one
// before. Others are compared bit by bit with the one before. Either way what follows
// the first value are fields of one width, which takes no branches to read.
//
// The first byte is the number of decimals, or asBits, and above it which of widths the fields
// have. asBits has another byte, by how many bits the fields are shifted. apart has two chunks, see apart.go.
const (
	chunkSize = 128
	apart     = 14
	asBits    = 15
	// padding lies behind the last chunk, so that a field may be read as eight bytes.
	padding = 8
)

// widths of fields. None but the last is more than 56, so that one that begins within a byte ends
// within eight.
var widths = [16]uint8{0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 56, 64}

// widthFor is the least of the widths for so many bits.
var widthFor = func() (at [65]uint8) {
	for n := range at {
		for widths[at[n]] < uint8(n) {
			at[n]++
		}
	}
	return at
}()

// powers are how many of its smallest parts a number with so many decimals has in one.
var powers = [...]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// wholes fills dst with what the values are in parts of a power of ten, and returns with how
// many decimals; false if that does not do for one of them.
func wholes(dst []int64, values []float64) (decimals int, ok bool) {
	i := 0
	for decimals < len(powers) {
		v, power := values[i], powers[decimals]
		whole := math.RoundToEven(v * power)
		if !(math.Abs(whole) < 1<<53) {
			return 0, false
		}
		dst[i] = int64(whole)
		if math.Float64bits(float64(dst[i])/power) != math.Float64bits(v) { // 0 has no sign then
			decimals++
			i = 0
			continue
		}
		if i++; i == len(values) {
			return decimals, true
		}
	}
	return 0, false
}

// appendChunk appends values of one series, chunkSize at most.
func appendChunk(dst []byte, values []float64) []byte {
	var scratch [chunkSize]int64
	if decimals, ok := wholes(scratch[:], values); ok {
		return appendWholes(dst, byte(decimals), scratch[:len(values)])
	}
	if n := nans(values); n > 0 && n < len(values) {
		return appendApart(dst, values)
	}
	return appendBits(dst, values)
}

func appendWholes(dst []byte, decimals byte, wholes []int64) []byte {
	all, before := uint64(0), wholes[0]
	for _, n := range wholes[1:] {
		all |= zigzag(n - before)
		before = n
	}
	width := widthFor[bits.Len64(all)]
	dst = binary.AppendUvarint(append(dst, decimals|width<<4), zigzag(wholes[0]))
	f := fieldWriter{data: dst, width: uint(widths[width])}
	before = wholes[0]
	for _, n := range wholes[1:] {
		f.add(zigzag(n - before))
		before = n
	}
	return f.end()
}

func appendBits(dst []byte, values []float64) []byte {
	all, first := uint64(0), math.Float64bits(values[0])
	before := first
	for _, v := range values[1:] {
		n := math.Float64bits(v)
		all |= n ^ before
		before = n
	}
	shift := uint(bits.TrailingZeros64(all) & 63)
	width := widthFor[bits.Len64(all>>shift)]
	dst = binary.LittleEndian.AppendUint64(append(dst, asBits|width<<4, byte(shift)), first)
	f := fieldWriter{data: dst, width: uint(widths[width])}
	before = first
	for _, v := range values[1:] {
		n := math.Float64bits(v)
		f.add((n ^ before) >> shift)
		before = n
	}
	return f.end()
}

// fieldWriter appends fields of one width, the low bits first.
type fieldWriter struct {
	data    []byte
	width   uint
	pending uint64
	bits    uint
}

func (w *fieldWriter) add(field uint64) {
	if w.width == 64 {
		w.data = binary.LittleEndian.AppendUint64(w.data, field)
		return
	}
	w.pending |= field << w.bits
	w.bits += w.width
	for ; w.bits >= 8; w.bits -= 8 {
		w.data = append(w.data, byte(w.pending))
		w.pending >>= 8
	}
}

func (w *fieldWriter) end() []byte {
	if w.bits > 0 {
		w.data = append(w.data, byte(w.pending))
	}
	return w.data
}

// more are the bits that say that a number goes on.
const more = 0x8080808080808080

// leastChunk is what a chunk has at least, and what is behind it. What reads chunks
// takes for granted that there is as much, and all of the chunk.
const leastChunk = 2 + padding

// chunkEnd is where the chunk of so many values ends with which data begins.
func chunkEnd(data []byte, values int) int {
	if data[0]&15 == apart {
		return apartEnd(data, values)
	}
	fields := 10
	if data[0]&15 != asBits {
		fields = 2 + bits.TrailingZeros64(^binary.LittleEndian.Uint64(data[1:])&more)>>3
	}
	return fields + (int(widths[data[0]>>4])*(values-1)+7)>>3
}

// isChunk says whether data begins with a chunk of so many values, and padding is behind it.
func isChunk(data []byte, values int) bool {
	if len(data) > 0 && data[0]&15 == apart {
		return isApart(data, values)
	}
	return isPlain(data, values)
}

// isPlain says so of a chunk that is not apart.
func isPlain(data []byte, values int) bool {
	if len(data) < leastChunk || data[0]&15 == apart || chunkEnd(data, values) > len(data)-padding {
		return false
	}
	decimals := data[0] & 15
	return decimals == asBits || int(decimals) < len(powers) && ^binary.LittleEndian.Uint64(data[1:])&more != 0
}

// readChunk reads a chunk of as many values as out has, and returns where it ends.
func readChunk(out []float64, data []byte) (end int) {
	_ = data[leastChunk-1]
	decimals, width := data[0]&15, uint(widths[data[0]>>4])
	if decimals >= apart {
		if decimals == apart {
			return readApart(out, data)
		}
		return readBits(out, data, width)
	}
	// A whole number has 54 bits with its sign, and so eight bytes at most, here all at once.
	first := binary.LittleEndian.Uint64(data[1:])
	last := uint(bits.TrailingZeros64(^first & more))
	first &= (1<<last - 1) &^ more
	first = first&0x007f007f007f007f | first&0x7f007f007f007f00>>1
	first = first&0x00003fff00003fff | first&0x3fff00003fff0000>>2
	first = first&0x000000000fffffff | first&0x0fffffff00000000>>4

	whole, power := unzigzag(first), powers[decimals]
	out[0] = float64(whole) / power
	data, end = data[2+last>>3:], 2+int(last>>3)
	at, mask := uint(0), uint64(1)<<width-1
	for i := 1; i < len(out); i++ {
		whole += unzigzag(binary.LittleEndian.Uint64(data[at>>3:]) >> (at & 7) & mask)
		at += width
		out[i] = float64(whole) / power
	}
	return end + int(at+7)>>3
}

func readBits(out []float64, data []byte, width uint) (end int) {
	shift, value := data[1]&63, binary.LittleEndian.Uint64(data[2:])
	out[0] = math.Float64frombits(value)
	data, end = data[10:], 10
	at, mask := uint(0), uint64(1)<<width-1
	for i := 1; i < len(out); i++ {
		value ^= (binary.LittleEndian.Uint64(data[at>>3:]) >> (at & 7) & mask) << shift
		at += width
		out[i] = math.Float64frombits(value)
	}
	return end + int(at+7)>>3
}
