package body

import (
	"bytes"
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

// maxWindow bounds the memory of a decompressor that is told no length.
const maxWindow = 8 << 20

// zstds decompress: frames that say their length into memory that is there, by one for all; others as a stream.
var (
	zstds = sync.OnceValue(func() *zstd.Decoder {
		return newZstd(zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	})
	zstdStreams = sync.Pool{New: func() any {
		return newZstd(zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
	}}
)

func newZstd(options ...zstd.DOption) *zstd.Decoder {
	d, err := zstd.NewReader(nil, options...)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
}

// unzstd undoes zstd.
func unzstd(room *Room, limit int64, packed []byte) (*Body, error) {
	b := New(room, limit)
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return b, broken(err)
	}
	if !h.HasFCS {
		return b, b.fillZstd(packed)
	}
	n := int64(min(h.FrameContentSize, math.MaxInt64))
	switch {
	case n > limit:
		return b, ErrTooLarge
	case !b.resize(n, room.limit):
		return b, ErrNoRoom
	}
	out, err := zstds().DecodeAll(packed, b.block.bytes[:0:n])
	if err != nil {
		return b, broken(err)
	}
	b.block.bytes = out
	return b, nil
}

func (b *Body) fillZstd(packed []byte) error {
	z := zstdStreams.Get().(*zstd.Decoder)
	defer func() {
		_ = z.Reset(nil) // which only fails with a reader
		zstdStreams.Put(z)
	}()
	err := z.Reset(bytes.NewReader(packed))
	if err == nil {
		err = b.fill(z, 0)
	}
	if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrNoRoom) {
		err = broken(err)
	}
	return err
}

func broken(err error) error {
	return &EncodingError{false, fmt.Sprintf("decompress the body: %v", err)}
}
