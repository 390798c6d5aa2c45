package body

import (
	"encoding/binary"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// blockOf receives a body by remote write's rules.
func blockOf(t *testing.T, encoding string, packed []byte, limit, all int64) (string, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(packed)))
	r.Header.Set("Content-Encoding", encoding)
	undo, err := Block(r.Header)
	if err != nil {
		return "", err
	}
	room := NewRoom(all)
	b, _, err := Receive(httptest.NewRecorder(), r, room, Limits{Bytes: limit, Time: time.Second, Undo: undo})
	text := string(b.Bytes())
	b.Release()
	require.Zero(t, room.Used())
	return text, err
}

func zstdOf(t *testing.T, text string, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	require.NoError(t, err)
	return w.EncodeAll([]byte(text), nil)
}

// streamed is zstd that does not say its length.
func streamed(t *testing.T, text string) []byte {
	t.Helper()
	var out strings.Builder
	w, err := zstd.NewWriter(&out)
	require.NoError(t, err)
	_, err = w.Write([]byte(text[:len(text)/2]))
	require.NoError(t, err)
	require.NoError(t, w.Flush())
	_, err = w.Write([]byte(text[len(text)/2:]))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return []byte(out.String())
}

func TestBlocks(t *testing.T) {
	var b strings.Builder
	for n := range 20_000 {
		b.WriteString(strings.Repeat(string(rune('a'+n%26)), n%7) + " 1000 ")
	}
	text := b.String()
	limit := int64(len(text))
	message := "\n\x08\n\x06\n\x01a\x12\x01b" // a request as small as there is
	for name, c := range map[string]struct {
		encoding string
		packed   []byte
		want     string
	}{
		"snappy":              {"snappy", snappy.Encode(nil, []byte(text)), text},
		"in capitals":         {" Snappy", snappy.Encode(nil, []byte(text)), text},
		"snappy of nothing":   {"snappy", snappy.Encode(nil, nil), ""},
		"not announced":       {"", snappy.Encode(nil, []byte(text)), text},
		"small":               {"", snappy.Encode(nil, []byte(message)), message},
		"zstd":                {"zstd", zstdOf(t, text), text},
		"zstd without length": {"zstd", streamed(t, text), text},
		"nothing":             {"", nil, ""},
		"not packed":          {"identity", []byte(text), text},
		"small, not packed":   {"", []byte(message), message},
	} {
		got, err := blockOf(t, c.encoding, c.packed, limit, 4*limit)
		require.NoError(t, err, name)
		require.Equal(t, c.want, got, name)
	}
	for _, packed := range [][]byte{snappy.Encode(nil, []byte(text+" ")), zstdOf(t, text+" "), streamed(t, text+" ")} {
		encoding := "snappy"
		if strings.HasPrefix(string(packed), "\x28\xb5\x2f\xfd") {
			encoding = "zstd"
		}
		_, err := blockOf(t, encoding, packed, limit, 4*limit)
		require.ErrorIs(t, err, ErrTooLarge, encoding)
		_, err = blockOf(t, encoding, packed, limit+1, limit/2)
		require.ErrorIs(t, err, ErrNoRoom, encoding)
	}
}

// What is announced and cannot be is refused before there is memory for it.
func TestBlocksThatLie(t *testing.T) {
	const limit = 1 << 40 // more than there is
	broken := (*EncodingError)(nil)
	for encoding, packed := range map[string][]byte{
		"snappy": append(binary.AppendUvarint(nil, 1<<31), snappy.Encode(nil, []byte("x"))[1:]...),
		"zstd":   zstdOf(t, strings.Repeat("x", 1000))[:20],
		"gzip":   {1, 2, 3, 4},
	} {
		_, err := blockOf(t, encoding, packed, limit, limit)
		require.ErrorAs(t, err, &broken, encoding)
		assert.False(t, broken.Unknown)
	}
	_, err := blockOf(t, "br", nil, limit, limit)
	require.ErrorAs(t, err, &broken)
	assert.True(t, broken.Unknown)
}
