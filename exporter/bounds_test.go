package exporter

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
)

// dumbServer is a server that gives its client what the test writes. Requests are read by the test
// as well.
func dumbServer(t *testing.T, serve func(conn net.Conn)) *pusher {
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
	return newPusher(Hub{URL: "http://" + l.Addr().String()}, transport, 300*time.Millisecond, HubsOnly, &coding{}, newMetrics(nil))
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
		want         outcome
		says         string
	}{
		{"a hub that falls silent", endlessHub, false, delivered, ""},
		{"a hub that floods", endlessHub, true, delivered, ""},
		{"somebody who falls silent", endlessOthers, false, tryNext, "not a hub's answer: status 200"},
		{"somebody who floods", endlessOthers, true, tryNext, "not a hub's answer: status 200: xxx"},
		{"half a header", strings.TrimSuffix(endlessHub, "\r\n"), false, tryNext, "no answer within PushTimeout"},
		{"half a status", "HTTP/1.1 20", false, tryNext, "no answer within PushTimeout"},
		{"a header that does not end", strings.TrimSuffix(endlessHub, "\r\n") + "X: ", true, tryNext, ""},
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
			res := p.push(context.Background(), bodiesOf(reports(1, "g")...))
			assert.Less(t, time.Since(began), 10*time.Second)
			assert.Equal(t, c.want, res.outcome, res.detail)
			assert.Contains(t, res.detail, c.says)
			assert.Less(t, len(res.detail), 2*detailBytes)
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
	for n := range 40 { // more than sockets have room for
		bodies = append(bodies, bodiesOf(bulk(n, 5000, "gw")...)...)
	}
	res := p.push(context.Background(), bodies)
	close(let)
	assert.Equal(t, tryNext, res.outcome)
	assert.Equal(t, "answered with status 200 before all of the request was sent", res.detail)
	assert.True(t, res.doubt)
}

// A hub's Retry-After is heeded up to a bound, whatever it says.
func TestRetryAfterIsBounded(t *testing.T) {
	for _, value := range []string{"1" + strings.Repeat("0", 30), "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "1e30"} {
		virtual(t, func(t *testing.T) {
			f := newFleet(1)
			f["hub-0"].say(reply{status: 503, header: http.Header{"Retry-After": {value}}})
			h := start(t, f)
			h.submit(1, "a")
			pass(maxRetryAfter + 2*DefaultMaxBackoff)
			assert.Equal(t, 1, h.count("samples_delivered_total"), value)
			require.NoError(t, h.stop())
		})
	}
}
