package body

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// The smallest block and the number of sizes, each twice the one before,
// that are kept for the next body.
const minBlock, blockSizes = 16 << 10, 10

// Room is the memory that all bodies may take together.
type Room struct {
	limit int64
	used  atomic.Int64
}

// NewRoom returns a room of so many bytes.
func NewRoom(limit int64) *Room { return &Room{limit: limit} }

// Limit is its size in bytes.
func (r *Room) Limit() int64 { return r.limit }

// Used is how many bytes are taken.
func (r *Room) Used() int64 { return r.used.Load() }

// Take takes n bytes if there are as many.
func (r *Room) Take(n int64) bool { return r.take(n, r.limit) }

// Release gives n bytes back.
func (r *Room) Release(n int64) { r.used.Add(-n) }

// take takes n bytes if no more than within are used then.
func (r *Room) take(n, within int64) bool {
	for {
		used := r.used.Load()
		if used+n > within {
			return false
		}
		if r.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

// block is memory that bodies use one after the other.
type block struct{ bytes []byte }

var blocks [blockSizes]sync.Pool

// sizeClass is the index of the smallest kept size that has n bytes, which is
// blockSizes or more if none has.
func sizeClass(n int64) int { return bits.Len64(uint64(max(n, 1)-1) / minBlock) }

// blockSize is the size of the block that newBlock returns for n bytes.
func blockSize(n int64) int64 {
	if class := sizeClass(n); class < blockSizes {
		return minBlock << class
	}
	return n
}

func newBlock(n int64) *block {
	if class := sizeClass(n); class < blockSizes {
		if b, ok := blocks[class].Get().(*block); ok {
			return b
		}
	}
	return &block{make([]byte, 0, blockSize(n))}
}

// free keeps a block for the next body that needs one of its size.
func (b *block) free() {
	size := int64(cap(b.bytes))
	if class := sizeClass(size); class < blockSizes && blockSize(size) == size {
		b.bytes = b.bytes[:0]
		blocks[class].Put(b)
	}
}
