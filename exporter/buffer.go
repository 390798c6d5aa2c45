package exporter

import (
	"math/bits"
	"sync"
)

// The bodies of parcels come from pools, one for each size: four sizes from each
// power of two to the next, so that at most a quarter of the smaller is unused.
const (
	minBufferBits = 6  // 64 bytes
	maxBufferBits = 20 // 1 MiB; what is larger is left to the garbage collector
)

var buffers [4 * (maxBufferBits - minBufferBits)]sync.Pool

// poisonReleased makes what is released unreadable, so that tests see who reads
// it still.
var poisonReleased = false

// buffer is the memory of one parcel.
type buffer struct {
	body []byte
	ends []int
}

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

// newBuffer returns a buffer with copies of body and ends.
func newBuffer(body []byte, ends []int) *buffer {
	pool, size := sizeClass(len(body))
	var b *buffer
	if pool >= 0 {
		b, _ = buffers[pool].Get().(*buffer)
	}
	if b == nil {
		b = &buffer{body: make([]byte, 0, size)}
	}
	b.body = append(b.body[:0], body...)
	if n := len(ends); cap(b.ends) < n || cap(b.ends) > n+n/4+4 {
		b.ends = make([]int, 0, n)
	}
	b.ends = append(b.ends[:0], ends...)
	return b
}

// release gives the buffer back. Nobody may read it any more.
func (b *buffer) release() {
	if poisonReleased {
		for i := range b.body {
			b.body[i] = '?'
		}
		clear(b.ends)
	}
	if pool, size := sizeClass(cap(b.body)); pool >= 0 && size == cap(b.body) {
		buffers[pool].Put(b)
	}
}
