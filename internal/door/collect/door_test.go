package collect

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/body"
)

// caller calls a door over HTTP/2.
type caller struct {
	t      *testing.T
	url    string
	client *http.Client
}

// served serves a door, which refuses what an error of Take, of the body or of the request says.
func served(t *testing.T, cfg Config) *caller {
	t.Helper()
	cfg.Time = time.Minute
	if cfg.Enter == nil {
		cfg.Enter = func(*http.Request) (func(), error) { return func() {}, nil }
	}
	cfg.Refuse = func(_ int, err error) Refusal {
		switch unknown := (*body.EncodingError)(nil); {
		case errors.Is(err, body.ErrTooLarge):
			return Refusal{ResourceExhausted, "body_too_large", err.Error()}
		case errors.As(err, &unknown):
			return Refusal{Unimplemented, "encoding", err.Error()}
		}
		return Refusal{InvalidArgument, "malformed", err.Error()}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	both := new(http.Protocols)
	both.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: New(cfg), Protocols: both, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	transport := &http.Transport{Protocols: both}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return &caller{t, "http://" + l.Addr().String(), &http.Client{Transport: transport}}
}

// framed is a message with its prefix.
func framed(compressed byte, message []byte) []byte {
	n := len(message)
	return append([]byte{compressed, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, message...)
}

// call returns an answer's status, its message and its body.
func (c *caller) call(method, encoding string, body []byte) (status, message string, answer []byte) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+method, bytes.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/grpc+proto")
	r.Header.Set("Te", "trailers")
	if encoding != "" {
		r.Header.Set("Grpc-Encoding", encoding)
	}
	resp, err := c.client.Do(r)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	require.Equal(c.t, http.StatusOK, resp.StatusCode)
	require.Equal(c.t, "application/grpc", resp.Header.Get("Content-Type"))
	return resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message"), answer
}

func zipped(t *testing.T, text []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err := z.Write(text)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return out.Bytes()
}

func TestCalls(t *testing.T) {
	var took []string
	room := body.NewRoom(1 << 20)
	c := served(t, Config{
		Methods: []string{EdgeHub, MagmaCollect}, Room: room, Bytes: 100,
		Take: func(_ *http.Request, read func(each func(Family) error) error) (int, error) {
			for range 2 { // it may be read again
				took = nil
				if err := read(func(f Family) error {
					took = append(took, string(f.Message)+f.Origin.Gateway)
					return nil
				}); err != nil {
					return len(took), err
				}
			}
			return len(took), nil
		},
	})
	taken := func(want []string, method, encoding string, body []byte) {
		t.Helper()
		status, message, answer := c.call(method, encoding, body)
		assert.Equal(t, "0", status, message)
		assert.Equal(t, make([]byte, 5), answer)
		assert.Equal(t, want, took)
	}
	refused := func(status, message, method, encoding string, body []byte) {
		t.Helper()
		got, said, answer := c.call(method, encoding, body)
		assert.Equal(t, status, got)
		assert.Equal(t, message, said)
		assert.Empty(t, answer)
	}
	request := text(text(nil, 1, "one"), 1, "two")
	taken([]string{"one", "two"}, EdgeHub, "", framed(0, request))
	taken([]string{"one", "two"}, EdgeHub, "gzip", framed(1, zipped(t, request)))
	taken([]string{"one", "two"}, EdgeHub, "gzip", framed(0, request))
	taken([]string{"familygw"}, MagmaCollect, "", framed(0, text(text(nil, 1, "gw"), 2, "family")))
	taken(nil, EdgeHub, "", framed(0, nil))

	refused("12", "unknown_method: there is no method \"/magma.orc8r.MetricsController/Push\" here", MagmaPush, "", framed(0, nil))
	status, message, _ := c.call(EdgeHub, "deflate", framed(1, request))
	assert.Equal(t, "12", status)
	assert.Contains(t, message, "encoding: content encoding \"deflate\" is not supported")
	refused("3", "malformed: the request is no message in protobuf", EdgeHub, "", framed(0, []byte("%\n")))
	refused("3", "malformed: the call ends before its message does", EdgeHub, "", nil)
	refused("3", "malformed: the call ends before its message does", EdgeHub, "", []byte{0, 0})
	refused("3", "malformed: the call ends before its message does", EdgeHub, "", framed(0, request)[:8])
	refused("3", "malformed: a call has one message, and here are more", EdgeHub, "", append(framed(0, request), framed(0, request)...))
	refused("8", "body_too_large: the body is larger than its limit", EdgeHub, "", framed(0, make([]byte, 101)))
	refused("8", "body_too_large: the body is larger than its limit", EdgeHub, "gzip", framed(1, zipped(t, make([]byte, 101))))
	assert.Zero(t, room.Used())
}

// Who does not get in is answered before the message is read.
func TestCallIsRefusedAtTheDoor(t *testing.T) {
	c := served(t, Config{Methods: []string{EdgeHub}, Room: body.NewRoom(1 << 20), Bytes: 100, Enter: func(*http.Request) (func(), error) {
		return nil, errors.New("no, 100 % \"not\" today\nñ")
	}})
	status, message, _ := c.call(EdgeHub, "", framed(0, nil))
	assert.Equal(t, "3", status)
	assert.Equal(t, `malformed: no, 100 %25 "not" today%0A%C3%B1`, message)
}

func TestWhatIsNoCall(t *testing.T) {
	c := served(t, Config{Methods: []string{EdgeHub}})
	for _, kind := range []string{"", "text/plain", "application/grpcs"} {
		resp, err := c.client.Post(c.url+EdgeHub, kind, nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Equal(t, http.StatusUnsupportedMediaType, resp.StatusCode, kind)
	}
}

func TestCodes(t *testing.T) {
	for status, code := range map[int]Code{200: OK, 400: InvalidArgument, 408: DeadlineExceeded, 413: ResourceExhausted, 415: Unimplemented, 422: InvalidArgument, 429: ResourceExhausted, 500: Internal, 503: Unavailable} {
		assert.Equal(t, code, CodeOf(status), "%d", status)
	}
}
