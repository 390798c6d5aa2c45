package wire

import (
	"math/bits"
	"sync"
)

// The texts of bodies come from pools, one for each size: four sizes from each
// power of two to the next, so that at most a quarter of the smaller is unused.
const (
	minBufferBits = 6  // 64 bytes
	maxBufferBits = 20 // 1 MiB; what is larger is left to the garbage collector
)

var pools [4 * (maxBufferBits - minBufferBits)]sync.Pool

// sizeClass returns the capacity for n bytes and which pool it comes from, -1 for
// none.
func sizeClass(n int) (pool, size int) {
	if n = max(n, 1<<minBufferBits+1); n > 1<<maxBufferBits {
		return -1, n
	}
	power := bits.Len(uint(n-1)) - 1 // 2^power < n
	step := power - 2
	quarters := (n + 1<<step - 1) >> step // 5 to 8
	return 4*(power-minBufferBits) + quarters - 5, quarters << step
}

// take returns a body with room for n bytes of text.
func take(n int) *Body {
	pool, size := sizeClass(n)
	if pool >= 0 {
		if b, ok := pools[pool].Get().(*Body); ok {
			return b
		}
	}
	return &Body{Text: make([]byte, 0, size)}
}

// give puts a body back that nobody reads any more.
func give(b *Body) {
	if pool, size := sizeClass(cap(b.Text)); pool >= 0 && size == cap(b.Text) {
		pools[pool].Put(b)
	}
}
