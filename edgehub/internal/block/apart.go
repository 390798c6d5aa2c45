package block

import "math/bits"

// Between the numbers of a series may be NaNs: that there is none, that the series ends, or words that say more of a sample (package words). One would
// make bits of all, so where there are some numbers and NaNs lie apart: behind the first byte a bit for each value, the low ones first, that
// says whether it is a NaN; then a chunk of the numbers, and one of the NaNs.

func nans(values []float64) (n int) {
	for _, v := range values {
		if v != v {
			n++
		}
	}
	return n
}

func appendApart(dst []byte, values []float64) []byte {
	var numbers, others [chunkSize]float64
	n, m, first := 0, 0, len(dst)+1
	dst = append(dst, apart)
	dst = append(dst, make([]byte, (len(values)+7)/8)...)
	for i, v := range values {
		if v == v {
			numbers[n] = v
			n++
			continue
		}
		others[m] = v
		m++
		dst[first+i/8] |= 1 << (i % 8)
	}
	return appendChunk(appendChunk(dst, numbers[:n]), others[:m])
}

// countApart is how many of so many values are NaNs, by the bits that say so.
func countApart(which []byte, values int) (n int) {
	for i, b := range which {
		if left := values - 8*i; left < 8 {
			b &= 1<<left - 1
		}
		n += bits.OnesCount8(b)
	}
	return n
}

func apartEnd(data []byte, values int) int {
	end := 1 + (values+7)/8
	n := countApart(data[1:end], values)
	end += chunkEnd(data[end:], values-n)
	return end + chunkEnd(data[end:], n)
}

func isApart(data []byte, values int) bool {
	end := 1 + (values+7)/8
	if len(data) < end {
		return false
	}
	n := countApart(data[1:end], values)
	if n == 0 || n == values || !isPlain(data[end:], values-n) {
		return false
	}
	end += chunkEnd(data[end:], values-n)
	return isPlain(data[end:], n)
}

func readApart(out []float64, data []byte) (end int) {
	var numbers, others [chunkSize]float64
	end = 1 + (len(out)+7)/8
	which := data[1:end]
	n := countApart(which, len(out))
	end += readChunk(numbers[:len(out)-n], data[end:])
	end += readChunk(others[:n], data[end:])
	i, j := 0, 0
	for k := range out {
		if which[k/8]>>(k%8)&1 == 0 {
			out[k] = numbers[i]
			i++
		} else {
			out[k] = others[j]
			j++
		}
	}
	return end
}
