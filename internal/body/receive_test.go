package body

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func received(t *testing.T, encoding string, packed []byte, limit, all int64, lenient bool) (string, error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(packed))
	r.Header.Set("Content-Encoding", encoding)
	room := NewRoom(all)
	b, _, err := Receive(httptest.NewRecorder(), r, room, Limits{Bytes: limit, Time: time.Second, Lenient: lenient})
	text := string(b.Bytes())
	require.LessOrEqual(t, room.Used(), min(limit, all))
	b.Release()
	require.Zero(t, room.Used())
	return text, err
}

func gzipOf(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func framed(t *testing.T, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := snappy.NewBufferedWriter(&out)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestEncodings(t *testing.T) {
	text := strings.Repeat("gateway_metric{gatewayID=\"gw\"} 1\n", 1000)
	repeated := strings.Repeat("x", 1<<20) // far longer than zstd that says no length is thought to be
	for encoding, packed := range map[string][]byte{
		"": []byte(text), "identity": []byte(text), "Identity": []byte(text), "gzip": gzipOf(t, text), "GZip": gzipOf(t, text), "X-GZIP": gzipOf(t, text),
		"snappy": framed(t, text), "SNAPPY": framed(t, text), "zstd": zstdOf(t, text), "ZStd": streamed(t, text),
	} {
		for _, limit := range []int64{int64(len(text)), 1 << 20} {
			got, err := received(t, encoding, packed, limit, 1<<20, false)
			require.NoError(t, err, encoding)
			require.Equal(t, text, got, encoding)
		}
		_, err := received(t, encoding, packed, int64(len(text)-1), 1<<20, false)
		require.ErrorIs(t, err, ErrTooLarge, encoding)
	}
	for name, packed := range map[string][]byte{
		"one that does not say its length": streamed(t, repeated),
		"several frames":                   append(zstdOf(t, repeated[:1<<19]), zstdOf(t, repeated[1<<19:])...),
		"several, the first of nothing":    append(zstdOf(t, "", zstd.WithZeroFrames(true)), streamed(t, repeated)...),
		"a window larger than a body":      zstdOf(t, repeated, zstd.WithWindowSize(64<<20)),
	} {
		got, err := received(t, "zstd", packed, 1<<20, 1<<21, false)
		require.NoError(t, err, name)
		require.Equal(t, repeated, got, name)
		_, err = received(t, "zstd", packed, 1<<20-1, 1<<21, false)
		require.ErrorIs(t, err, ErrTooLarge, name)
		_, err = received(t, "zstd", packed, 1<<20, 1<<18, false)
		require.ErrorIs(t, err, ErrNoRoom, name)
	}
}

// What is a thousand times longer than packed is not read further than its limit.
func TestBombs(t *testing.T) {
	text := strings.Repeat("\x00", 64<<20)
	for encoding, packed := range map[string][]byte{"gzip": gzipOf(t, text), "snappy": framed(t, text), "zstd": streamed(t, text)} {
		_, err := received(t, encoding, packed, 8<<20, 32<<20, false)
		require.ErrorIs(t, err, ErrTooLarge, encoding)
	}
}

func TestEncodingsThatAreRefused(t *testing.T) {
	broken := (*EncodingError)(nil)
	for encoding, unknown := range map[string]bool{"deflate": true, "br": true, "gzip, gzip": true, "gzip": false, "snappy": false, "zstd": false} {
		_, err := received(t, encoding, []byte("x 1 x 1 x 1 x 1 x 1\n"), 100, 1<<20, false)
		require.ErrorAs(t, err, &broken, encoding)
		assert.Equal(t, unknown, broken.Unknown, encoding)
	}
	_, err := received(t, "snappy", snappy.Encode(nil, []byte("x 1\n")), 100, 1<<20, false)
	require.ErrorContains(t, err, "it is no snappy in frames; a block of snappy is for remote write only")
	for encoding, packed := range map[string][]byte{"snappy": framed(t, "x 1\n"), "zstd": zstdOf(t, "x 1\n")} {
		_, err := received(t, encoding, packed[:len(packed)-1], 100, 1<<20, false)
		require.ErrorAs(t, err, &broken, encoding)
		assert.False(t, broken.Unknown)
	}
}

// A Pushgateway ignores what it does not know, which zstd is.
func TestLenient(t *testing.T) {
	for encoding, packed := range map[string][]byte{"gzip": gzipOf(t, "x 1\n"), "snappy": framed(t, "x 1\n"), "zstd": []byte("x 1\n"), "deflate": []byte("x 1\n")} {
		got, err := received(t, encoding, packed, 100, 1<<20, true)
		require.NoError(t, err, encoding)
		require.Equal(t, "x 1\n", got)
	}
}
