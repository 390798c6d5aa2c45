package series

import "unsafe"

// arenaBlock is the size of the blocks in which an arena keeps texts.
const arenaBlock = 64 << 10

// arena keeps texts that live and go together, without an allocation for each.
type arena struct {
	block []byte
	bytes int64 // of all texts
}

// keep copies a text into the arena.
func (a *arena) keep(text []byte) string {
	if len(text) == 0 {
		return ""
	}
	a.bytes += int64(len(text))
	if len(text) > arenaBlock/8 {
		return string(text)
	}
	if len(a.block)+len(text) > cap(a.block) {
		a.block = make([]byte, 0, arenaBlock)
	}
	from := len(a.block)
	a.block = append(a.block, text...)
	return unsafe.String(&a.block[from], len(text)) // these bytes are not written again
}
