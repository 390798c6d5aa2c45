package exposition

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at a time, in a word whose lowest byte is the first one.

const (
	ones = 0x0101010101010101 // times a byte: that byte in all places
	tops = 0x8080808080808080
)

// hasSpecial says whether any byte of w is escaped in the value of a label. A byte that is sought becomes 0, of which
// subtracting one sets the top bit.
func hasSpecial(w uint64) bool {
	quote, backslash, feed := w^ones*'"', w^ones*'\\', w^ones*'\n'
	return ((quote-ones)&^quote|(backslash-ones)&^backslash|(feed-ones)&^feed)&tops != 0
}

// digitsAt reads the digits at b[i:], and counts them: up to 24, of which maxDigits
// make a number that fits.
func digitsAt(b *[NumberRoom]byte, i int) (n uint64, count int) {
	n, count = digits8(binary.LittleEndian.Uint64(b[i:]))
	if count < 8 {
		return n, count
	}
	more, digits := digits8(binary.LittleEndian.Uint64(b[i+8:]))
	n, count = n*wholePow10[digits]+more, 8+digits
	if count < 16 {
		return n, count
	}
	more, digits = digits8(binary.LittleEndian.Uint64(b[i+16:]))
	return n*wholePow10[digits] + more, 16 + digits
}

// digits8 is the number that the digits at the start of w make, and how many they
// are. Neighbours are put together: digits to pairs, pairs to fours, fours to
// eight.
func digits8(w uint64) (n uint64, count int) {
	w ^= ones * '0'
	// A byte above 9 gets its top bit set; a carry comes only from such a byte.
	count = bits.TrailingZeros64((w+ones*(0x80-10)|w)&tops) / 8
	w <<= 64 - 8*count // zeros in front, and what follows the digits falls out
	w = (w*10 + w>>8) & 0x00ff00ff00ff00ff
	w = (w*100 + w>>16) & 0x0000ffff0000ffff
	return (w*10_000 + w>>32) & 0xffffffff, count
}

// spread8 is the opposite: the eight digits of n < 1e8, as numbers, not letters.
func spread8(n uint64) uint64 {
	n = n/10_000 | n%10_000<<32
	hundreds := n * 10_486 >> 20 & 0x0000007f0000007f
	n = hundreds | (n-hundreds*100)<<16
	tens := n * 103 >> 10 & 0x000f000f000f000f
	return tens | (n-tens*10)<<8
}

// append8 appends the eight digits of n < 1e8.
func append8(dst []byte, n uint64) []byte {
	return binary.LittleEndian.AppendUint64(dst, spread8(n)|ones*'0')
}

// appendWhole appends n < 1e16.
func appendWhole(dst []byte, n uint64) []byte {
	if n >= 1e8 {
		return append8(appendWhole(dst, n/1e8), n%1e8)
	}
	w := spread8(n)
	zeros := min(bits.TrailingZeros64(w)/8, 7)
	dst = binary.LittleEndian.AppendUint64(dst, (w|ones*'0')>>(8*zeros))
	return dst[:len(dst)-zeros]
}

// appendFraction appends a point and n / 1e8, without zeros at the end. It is for
// 0 < n < 1e8.
func appendFraction(dst []byte, n uint64) []byte {
	w := spread8(n)
	dst = binary.LittleEndian.AppendUint64(append(dst, '.'), w|ones*'0')
	return dst[:len(dst)-bits.LeadingZeros64(w)/8]
}
