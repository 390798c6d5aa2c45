package edgehub

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

// parting is the response to a scrape of a hub that drains. The hub cannot wait for
// the scraper's next request, which is an interval away, to know whether it has
// this response. So it tells the scraper to close the connection behind the
// response, closes its own side, and waits for the other one. A client that has
// read everything closes in order; where bytes were left unread the system
// resets the connection. net/http does not wait for either, so the connection is
// taken from it.
//
// It is an http.ResponseWriter with status 200 and a chunked body.
type parting struct {
	hub    *Hub
	of     *connection
	conn   net.Conn
	in     *bufio.Reader
	out    *bufio.Writer
	body   io.WriteCloser
	header http.Header
	begun  bool
}

const connectionHeader = "Connection"

// parting takes the connection of a scrape from the server, if the hub drains. It
// returns nil, whose methods do nothing, if it does not, or if what is written has
// to do: because the scraper takes just that, or the server keeps its connections.
func (h *Hub) parting(c echo.Context, q request) *parting {
	if !h.drains() {
		return nil
	}
	c.Response().Header().Set(connectionHeader, "close")
	conn, ok := connectionOf(c.Request())
	if !ok || q.explicit || !c.Request().ProtoAtLeast(1, 1) {
		return nil
	}
	h.connections.take(conn, true)
	raw, buffered, err := http.NewResponseController(c.Response()).Hijack()
	if err != nil {
		h.connections.take(conn, false)
		return nil
	}
	if err := raw.SetDeadline(time.Now().Add(q.timeout + lingering)); err != nil {
		raw.Close() // writing fails as well
	}
	p := &parting{hub: h, of: conn, conn: raw, in: buffered.Reader, out: bufio.NewWriter(raw), header: c.Response().Header().Clone()}
	p.body = httputil.NewChunkedWriter(p.out)
	return p
}

// or is the response itself, or the server's where there is none.
func (p *parting) or(w http.ResponseWriter) http.ResponseWriter {
	if p == nil {
		return w
	}
	return p
}

// Header implements http.ResponseWriter.
func (p *parting) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter. There is no status but 200.
func (p *parting) WriteHeader(int) {}

// Write implements http.ResponseWriter.
func (p *parting) Write(b []byte) (int, error) {
	if err := p.begin(); err != nil {
		return 0, err
	}
	return p.body.Write(b)
}

// FlushError implements what http.ResponseController flushes with.
func (p *parting) FlushError() error {
	if err := p.begin(); err != nil {
		return err
	}
	return p.out.Flush()
}

func (p *parting) begin() error {
	if p.begun {
		return nil
	}
	p.begun = true
	p.header.Set("Transfer-Encoding", "chunked")
	p.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	_, err := p.out.WriteString("HTTP/1.1 " + strconv.Itoa(http.StatusOK) + " " + http.StatusText(http.StatusOK) + "\r\n")
	err = errors.Join(err, p.header.Write(p.out))
	_, err2 := p.out.WriteString("\r\n")
	return errors.Join(err, err2)
}

// end writes the end of the response and of the connection. Under TLS that has a word
// of its own, which is left out: a scraper that closes the connection behind the
// response would leave it unread.
func (p *parting) end() error {
	err := p.body.Close()
	_, err2 := p.out.WriteString("\r\n")
	if err = errors.Join(err, err2, p.out.Flush()); err != nil {
		return err
	}
	if half, ok := bare(p.conn).(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// part ends the response, whose handover the connection owes, and waits for the
// scraper to close the connection, as long as the scrape may take.
func (p *parting) part() {
	if p == nil {
		return
	}
	if err := p.end(); err == nil {
		p.of.written()
		if p.hub.retired.Load() { // all of the time is over
			p.of.alive()
		}
		if p.closedInOrder() {
			p.of.alive()
		}
	}
	p.of.closed()
}

// closedInOrder waits until the scraper closes the connection, as it was told to, and
// says whether it had read everything. Under TLS its last word comes before the
// end of the connection, which alone tells. One that closed the connection before the
// response was there closed it in order, too, but what came then its system has not
// acknowledged.
func (p *parting) closedInOrder() bool {
	_, err := io.Copy(io.Discard, p.in)
	if conn := bare(p.conn); conn != p.conn && err == nil {
		_, err = io.Copy(io.Discard, conn)
	}
	return err == nil && acknowledged(bare(p.conn))
}

// close closes the connection, which cuts off a response that is not whole.
func (p *parting) close() {
	if p != nil {
		p.hub.connections.forget(p.of)
		p.conn.Close()
	}
}
