package body

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// However its bytes arrive and whatever was announced, a body is what was sent.
func TestFill(t *testing.T) {
	const limit = 3 * minBlock
	text := make([]byte, limit+1)
	for i := range text {
		text[i] = byte(i * i)
	}
	readers := map[string]func(io.Reader) io.Reader{
		"at once": func(r io.Reader) io.Reader { return r }, "by byte": iotest.OneByteReader,
		"by half": iotest.HalfReader, "with its end": iotest.DataErrReader,
	}
	for name, reader := range readers {
		for _, n := range []int{0, 1, minBlock - 1, minBlock, minBlock + 1, 2 * minBlock, limit - 1, limit, limit + 1} {
			for _, announced := range []int64{-1, 0, 1, minBlock, int64(n), limit, 1 << 40} {
				all := NewRoom(1 << 20)
				b := New(all, limit)
				err := b.fill(reader(bytes.NewReader(text[:n])), announced)
				if n > limit {
					require.ErrorIs(t, err, ErrTooLarge)
				} else {
					require.NoError(t, err)
					require.True(t, bytes.Equal(text[:n], b.Bytes()), "%s, %d bytes, announced %d", name, n, announced)
				}
				require.LessOrEqual(t, all.Used(), int64(limit))
				b.Release()
				require.Zero(t, all.Used())
			}
		}
	}
}

func TestFillStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	b := New(NewRoom(minBlock), minBlock)
	err := b.fill(io.MultiReader(strings.NewReader("x 1\n"), iotest.ErrReader(broken)), 100)
	require.ErrorIs(t, err, broken)
	assert.Equal(t, "x 1\n", string(b.Bytes()))
}
