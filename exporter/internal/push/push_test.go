package push

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bodyOf returns a body of one family, m.
func bodyOf(lines string) *wire.Body {
	of := wire.NewShape([]wire.Header{{Name: "m", Kind: wire.Gauge}})
	return wire.NewBody("g", []byte(lines), []int{len(lines)}, of)
}

// dumbServer is a server that gives its client what the test writes. Requests are read by the test
// as well.
func dumbServer(t *testing.T, serve func(conn net.Conn)) *Pusher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		conn, err := l.Accept()
		if err == nil {
			serve(conn)
			conn.Close()
		}
	}()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		l.Close()
		<-served
	})
	return New(Settings{URL: "http://" + l.Addr().String(), Transport: transport, Timeout: 300 * time.Millisecond, Coding: new(Coding)})
}

// readPush reads a request to its end.
func readPush(conn net.Conn) {
	if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

const (
	endless       = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
	endlessHub    = endless + exposition.HubHeader + ": edgehub/1\r\n\r\n"
	endlessOthers = endless + "\r\n"
)

// An answer that does not end holds nobody longer than PushTimeout. It is a hub's as soon as
// its header is there.
func TestAnswerThatDoesNotEnd(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		flood        bool
		want         verdict.Outcome
		says         string
	}{
		{"a hub that falls silent", endlessHub, false, verdict.Delivered, ""},
		{"a hub that floods", endlessHub, true, verdict.Delivered, ""},
		{"somebody who falls silent", endlessOthers, false, verdict.TryNext, "not a hub's answer: status 200"},
		{"somebody who floods", endlessOthers, true, verdict.TryNext, "not a hub's answer: status 200: xxx"},
		{"half a header", strings.TrimSuffix(endlessHub, "\r\n"), false, verdict.TryNext, "no answer within PushTimeout"},
		{"half a status", "HTTP/1.1 20", false, verdict.TryNext, "no answer within PushTimeout"},
		{"a header that does not end", strings.TrimSuffix(endlessHub, "\r\n") + "X: ", true, verdict.TryNext, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			let := make(chan struct{})
			p := dumbServer(t, func(conn net.Conn) {
				readPush(conn)
				_, err := io.WriteString(conn, c.answer)
				chunk := "400\r\n" + strings.Repeat("x", 1024) + "\r\n"
				for err == nil && c.flood {
					_, err = io.WriteString(conn, chunk)
				}
				<-let
			})
			defer close(let)
			began := time.Now()
			res := p.Push(t.Context(), []*wire.Body{bodyOf("m 1 1000\n")})
			assert.Less(t, time.Since(began), 10*time.Second)
			assert.Equal(t, c.want, res.Outcome, res.Detail)
			assert.Contains(t, res.Detail, c.says)
			assert.Less(t, len(res.Detail), 1024)
		})
	}
}

// A 200 that comes before the request was sent is of somebody who has not read it.
func TestAnswerBeforeTheRequestWasSent(t *testing.T) {
	let := make(chan struct{})
	p := dumbServer(t, func(conn net.Conn) {
		_, err := http.ReadRequest(bufio.NewReaderSize(conn, 16))
		assert.NoError(t, err)
		_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"+exposition.HubHeader+": edgehub/1\r\n\r\n")
		assert.NoError(t, err)
		<-let
	})
	p.timeout = 10 * time.Second
	var bodies []*wire.Body
	for range 40 { // more than sockets have room for
		bodies = append(bodies, bodyOf(strings.Repeat("m 1 1000\n", 50_000)))
	}
	res := p.Push(t.Context(), bodies)
	close(let)
	assert.Equal(t, verdict.TryNext, res.Outcome)
	assert.Equal(t, "answered with status 200 before all of the request was sent", res.Detail)
	assert.True(t, res.Doubt)
}

// lateReader answers before it has read the request, as transports may.
type lateReader struct {
	unread []io.ReadCloser
	read   []string
}

func (l *lateReader) RoundTrip(req *http.Request) (*http.Response, error) {
	l.unread = append(l.unread, req.Body)
	return nil, errors.New("gave up early")
}

func (l *lateReader) readAll(t *testing.T) {
	for _, body := range l.unread {
		b, err := io.ReadAll(body)
		require.NoError(t, err)
		require.NoError(t, body.Close())
		require.NoError(t, body.Close(), "twice is harmless")
		l.read = append(l.read, string(b))
	}
}

// A body that a transport still reads is not written over by the next request.
func TestBodyIsLeftToASlowTransport(t *testing.T) {
	late := &lateReader{}
	p := New(Settings{URL: "http://h", Transport: late, Timeout: time.Second, Coding: new(Coding)})
	for value := 1; value <= 3; value++ {
		res := p.Push(t.Context(), []*wire.Body{bodyOf(fmt.Sprintf("m %d 1000\n", value))})
		assert.Equal(t, verdict.TryNext, res.Outcome)
		assert.Equal(t, "gave up early", res.Detail)
	}
	late.readAll(t)
	require.Len(t, late.read, 3)
	for i, text := range late.read {
		assert.Equal(t, fmt.Sprintf("# TYPE m gauge\nm %d 1000\n", i+1), text)
	}
}
