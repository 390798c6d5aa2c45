package body

import (
	"errors"
	"io"
)

// maxAnnounced bounds the room that a body gets before its bytes arrive.
const maxAnnounced = 1 << 20

// What keeps a body from being read, besides the errors of its reader.
var (
	ErrTooLarge = errors.New("the body is larger than its limit")
	ErrNoRoom   = errors.New("the bodies that are being read leave no room")
)

// Body is what was read of a request. Its memory counts in a room, so whoever has one
// releases it.
type Body struct {
	room  *Room
	limit int64 // of its own bytes
	held  int64 // of the room
	block *block
}

// New returns an empty body of at most so many bytes.
func New(room *Room, limit int64) *Body { return &Body{room: room, limit: limit} }

// Bytes is what was read so far; valid until the release.
func (b *Body) Bytes() []byte {
	if b.block == nil {
		return nil
	}
	return b.block.bytes
}

// Release gives the body's memory back. It may be called again.
func (b *Body) Release() {
	if b.block != nil {
		b.block.free()
		b.block = nil
	}
	b.room.Release(b.held)
	b.held = 0
}

// resize moves a body to a block for n bytes, if no more than within are used by
// all bodies then. No body counts for more than its limit, so that one of the
// largest finds room wherever there is room for its bytes.
func (b *Body) resize(n, within int64) bool {
	cost := min(blockSize(n), b.limit)
	if !b.room.take(cost-b.held, within) {
		return false
	}
	b.held = cost
	old := b.block
	b.block = newBlock(n)
	if old != nil {
		b.block.bytes = append(b.block.bytes, old.bytes...)
		old.free()
	}
	return true
}

// start makes room for the first bytes of a body that is said to have so many;
// zero or less says nothing.
func (b *Body) start(announced int64) error {
	if n := min(announced, maxAnnounced-1) + 1; n > minBlock && b.resize(n, b.room.limit/2) {
		return nil
	}
	if !b.resize(minBlock, b.room.limit) {
		return ErrNoRoom
	}
	return nil
}

// grow makes a body's block larger, twice at most: whoever holds memory has sent
// half of it.
func (b *Body) grow(announced int64) error {
	now := int64(cap(b.block.bytes))
	next := min(2*now, b.limit+1) // the byte more shows a body that is too large
	if announced >= now {
		next = min(next, announced+1)
	}
	if next <= now {
		return ErrTooLarge
	}
	if !b.resize(next, b.room.limit) {
		return ErrNoRoom
	}
	return nil
}

// fill reads a body to its end. The end of one that has the length that was
// announced is seen without another read.
func (b *Body) fill(in io.Reader, announced int64) error {
	if err := b.start(announced); err != nil {
		return err
	}
	for {
		have := b.block.bytes
		if len(have) == cap(have) {
			if err := b.grow(announced); err != nil {
				return err
			}
			have = b.block.bytes
		}
		n, err := in.Read(have[len(have):cap(have)])
		b.block.bytes = have[:len(have)+n]
		switch {
		case int64(len(b.block.bytes)) > b.limit:
			return ErrTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
