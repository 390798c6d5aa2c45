package series

import (
	"encoding/binary"
	"unsafe"
)

// ref says where in an arena a text lies: the number of its block, and in that the place of its
// first word. No text has 0.
type ref uint32

const (
	wordBits  = 2  // bytes of a word
	placeBits = 16 // of a ref
	blockSize = 1 << (placeBits + wordBits)
	maxBlocks = 1 << (32 - placeBits)

	smallBlocks = 6 // that come first, each half as large as the next
	headerSize  = 8 // how long a text is, and where it is split
	wide        = 8 // bytes that are read at once
)

// arena keeps texts that live and go together, each in two parts. A block is not moved, and what
// is written stays, so a reader needs the blocks that there were when it got the ref. The garbage
// collector has nothing to follow. Behind each text there are bytes that nobody writes, to read some
// too many.
type arena struct {
	blocks []unsafe.Pointer
	size   int // of the last one
	used   int // likewise
}

// keep copies a text into the arena.
func (a *arena) keep(before, behind []byte) ref {
	size := headerSize + len(before) + len(behind) + wide
	if a.size-a.used < size {
		a.used = 0
		if len(a.blocks) == 0 {
			a.used = 1 << wordBits // so that no ref is 0
		}
		a.size = max(blockSize>>max(0, smallBlocks-len(a.blocks)), a.used+size)
		a.blocks = append(a.blocks, unsafe.Pointer(unsafe.SliceData(make([]byte, a.size))))
	}
	last := len(a.blocks) - 1
	b, at := unsafe.Slice((*byte)(a.blocks[last]), a.size)[a.used:], a.used
	binary.NativeEndian.PutUint64(b, uint64(len(before))<<32|uint64(len(before)+len(behind)))
	copy(b[headerSize+copy(b[headerSize:], before):], behind)
	a.used += (size + 1<<wordBits - 1) &^ (1<<wordBits - 1)
	return ref(last<<placeBits | at>>wordBits)
}

// has says whether there is certainly room for so many texts with so many bytes. Of a block half
// may be lost to a text that does not fit.
func (a *arena) has(texts int, bytes int64) bool {
	bytes += int64(texts) * (headerSize + 1<<wordBits + wide)
	return int64(len(a.blocks))+2*bytes/blockSize+1 < maxBlocks
}

// kept is a text in an arena.
type kept struct {
	at    unsafe.Pointer
	split int
	len   int
}

// textAt returns the text at a ref.
func textAt(blocks []unsafe.Pointer, r ref) kept {
	at := unsafe.Add(blocks[r>>placeBits], r&(1<<placeBits-1)<<wordBits)
	header := *(*uint64)(at)
	return kept{unsafe.Add(at, headerSize), int(header >> 32), int(uint32(header))}
}

func (k kept) bytes() []byte  { return unsafe.Slice((*byte)(k.at), k.len) }
func (k kept) before() []byte { return unsafe.Slice((*byte)(k.at), k.split) }
func (k kept) behind() []byte { return k.bytes()[k.split:] }
