package scrapers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// client is a scraper by hand: it decides what becomes of each connection, and notes what
// it has read to the end.
type client struct {
	r       *row
	proto   string // of HTTP
	headers string // more than a scraper has
	got     arrivals
}

func (r *row) newClient(proto, headers string) *client {
	return &client{r: r, proto: proto, headers: headers}
}

// request is a scrape as it is written to the connection.
func (c *client) request() string {
	return fmt.Sprintf("GET /metrics HTTP/%s\r\nHost: hub\r\nUser-Agent: script/1.0\r\n"+
		"X-Prometheus-Scrape-Timeout-Seconds: 10\r\n%s\r\n", c.proto, c.headers)
}

// visit is a connection of a client.
type visit struct {
	c    *client
	conn *net.TCPConn
	in   *bufio.Reader
}

// dial opens a connection.
func (c *client) dial() *visit {
	c.r.Helper()
	conn, err := net.Dial("tcp", c.r.hub.Address)
	require.NoError(c.r, err)
	require.NoError(c.r, conn.SetDeadline(time.Now().Add(patience)))
	return &visit{c: c, conn: conn.(*net.TCPConn), in: bufio.NewReader(conn)}
}

// ask writes so many scrapes at once, without waiting for an answer.
func (v *visit) ask(scrapes int) {
	v.c.r.Helper()
	_, err := io.WriteString(v.conn, strings.Repeat(v.c.request(), scrapes))
	require.NoError(v.c.r, err)
}

// read reads a whole response and takes what it has. It says whether the connection may be
// used again.
func (v *visit) read() (kept bool) {
	v.c.r.Helper()
	resp, err := http.ReadResponse(v.in, nil)
	require.NoError(v.c.r, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(v.c.r, err)
	require.Equal(v.c.r, http.StatusOK, resp.StatusCode, "%.200s", body)
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		parts := sampleLine.FindStringSubmatch(line)
		require.NotNil(v.c.r, parts, "%q", line)
		value, err := strconv.ParseFloat(parts[3], 64)
		require.NoError(v.c.r, err)
		at, err := strconv.ParseInt(parts[4], 10, 64)
		require.NoError(v.c.r, err)
		require.NoError(v.c.r, v.c.got.add(sample{parts[1], parts[2], at}, value))
	}
	return !resp.Close
}

var sampleLine = regexp.MustCompile(`^` + name + `\{gatewayID="(.+)",n="(.+)"\} (\S+) (\d+)\n$`)

// answered waits until an answer has begun to arrive, and reads none of it but the first
// byte.
func (v *visit) answered() {
	v.c.r.Helper()
	_, err := v.conn.Read(make([]byte, 1))
	require.NoError(v.c.r, err)
}

// leave closes the connection. Where something is unread the system resets it.
func (v *visit) leave() { v.conn.Close() }

// took returns what the client has read.
func (c *client) took(context.Context) (arrivals, error) { return c.got, nil }
