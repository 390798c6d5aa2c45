package load

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answerTimeout bounds one push. The slowest server measured takes seconds.
const answerTimeout = 2 * time.Minute

// conn is a keep-alive connection. It dials when it has to.
type conn struct {
	address string
	net     net.Conn
	answers *bufio.Reader
}

// post implements sender.
func (c *conn) post(ctx context.Context, request []byte) (status int, text string, err error) {
	if c.net == nil {
		var d net.Dialer
		if c.net, err = d.DialContext(ctx, "tcp", c.address); err != nil {
			return 0, "", fmt.Errorf("push: %w", err)
		}
		c.answers = bufio.NewReader(c.net)
	}
	connection := c.net
	defer context.AfterFunc(ctx, func() { connection.Close() })()
	if err := c.net.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return 0, "", fmt.Errorf("push: %w", err)
	}
	_, writeErr := c.net.Write(request)
	// A server may answer, and close, before it has read all.
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		c.close()
		if writeErr != nil {
			err = writeErr
		}
		return 0, "", fmt.Errorf("push to %s: %w", c.address, err)
	}
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	resp.Body.Close()
	if err != nil || writeErr != nil || resp.Close {
		c.close()
	}
	return resp.StatusCode, string(answer), nil
}

func (c *conn) close() {
	if c.net != nil {
		c.net.Close()
		c.net = nil
	}
}
