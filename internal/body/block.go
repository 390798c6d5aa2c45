package body

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Undo decompresses a body into another one, which the caller releases.
type Undo func(room *Room, limit int64, packed []byte) (*Body, error)

// Block says how the bodies of remote write are decompressed: snappy is a block, not frames. One of which nothing is said is a block
// of snappy if it can be undone as such, since some senders leave the header out; else it is taken as it is.
func Block(h http.Header) (Undo, error) {
	switch encoding := encodingOf(h); encoding {
	case "snappy":
		return unsnapBlock, nil
	case "zstd":
		return unzstd, nil
	case "gzip", "x-gzip":
		return inflate, nil
	case "", "identity":
		return guess, nil
	default:
		return nil, &EncodingError{true, fmt.Sprintf("content encoding %.40q is not supported; send snappy, as a block, zstd, gzip or none", encoding)}
	}
}

// A copy of snappy's makes 64 bytes at most, and takes three.
const snappyRatio = 64 / 3.0

// unsnapBlock undoes a block of snappy. Nothing is allocated for a length that is beyond the limit, or that the block
// cannot have.
func unsnapBlock(room *Room, limit int64, packed []byte) (*Body, error) {
	b := New(room, limit)
	n, err := snappy.DecodedLen(packed)
	switch {
	case err != nil:
		return b, broken(err)
	case int64(n) > limit:
		return b, ErrTooLarge
	case float64(n) > snappyRatio*float64(len(packed)):
		return b, broken(fmt.Errorf("%d bytes of snappy cannot be %d", len(packed), n))
	case !b.resize(int64(n), room.limit):
		return b, ErrNoRoom
	}
	out, err := snappy.Decode(b.block.bytes[:n], packed)
	if err != nil {
		return b, broken(err)
	}
	b.block.bytes = out
	return b, nil
}

// guess undoes snappy that is not announced. A request that is no snappy is not taken for it: it would have to be whole as snappy, and
// to have the length that its first bytes say.
func guess(room *Room, limit int64, packed []byte) (*Body, error) {
	b, err := unsnapBlock(room, limit, packed)
	if e := (*EncodingError)(nil); !errors.Is(err, ErrTooLarge) && !errors.As(err, &e) {
		return b, err
	}
	b.Release()
	if b = New(room, limit); !b.resize(int64(len(packed)), room.limit) {
		return b, ErrNoRoom
	}
	b.block.bytes = append(b.block.bytes, packed...)
	return b, nil
}

// zstds decompresses for all. It writes into memory that is there and looks for what is repeated in what it has written, so whatever window a
// sender has packed with, it needs no memory for that.
var zstds = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
})

const (
	// likelyRatio is how many times longer than packed a body likely is that does not say its length.
	likelyRatio = 4
	// zstdBlock is what the decompressor may want to have free when it writes its last block, which has 128 KiB at most.
	zstdBlock = 128<<10 + 64
)

// unzstd undoes zstd. Where the body turns out to be longer than there is memory for it is begun again with twice as much, so
// none is read for more than two of its length.
func unzstd(room *Room, limit int64, packed []byte) (*Body, error) {
	b := New(room, limit)
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return b, broken(err)
	}
	size := min(likelyRatio*int64(len(packed)), limit) + zstdBlock
	if h.HasFCS {
		if size = int64(min(h.FrameContentSize, math.MaxInt64)); size > limit {
			return b, ErrTooLarge
		}
	}
	for {
		if !b.resize(max(size, 1), room.limit) {
			return b, ErrNoRoom
		}
		out, err := zstds().DecodeAll(packed, b.block.bytes[:0])
		switch {
		case err == nil && int64(len(out)) <= limit:
			b.block.bytes = out
			return b, nil
		case err != nil && !errors.Is(err, zstd.ErrDecoderSizeExceeded) && cap(b.block.bytes)-len(out) > zstdBlock:
			return b, broken(err)
		case err == nil, size > limit: // the latter was tried with room for one block beyond it
			return b, ErrTooLarge
		}
		size = min(2*size, limit) + zstdBlock
	}
}

func broken(err error) error {
	return &EncodingError{false, fmt.Sprintf("decompress the body: %v", err)}
}
