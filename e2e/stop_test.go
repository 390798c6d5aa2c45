package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
)

// SIGTERM lets a push that is under way finish, ends with status 0, and says
// in the log how many samples no scrape had taken.
func TestStop(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	hub := s.Shards[0].Hub
	mustPush(t, hub, "early 1\nearly{n=\"2\"} 2\n")

	conn := beginPush(t, hub, "late 1\nlate{n=\"2\"} ", 2)
	require.NoError(t, hub.Process.Terminate())
	eventually(t, patience, func(ctx context.Context) error {
		probe, err := (&net.Dialer{}).DialContext(ctx, "tcp", hub.Address)
		if err != nil {
			return nil // nobody listens any more
		}
		return errors.Join(errors.New("the hub still listens"), probe.Close())
	})
	select {
	case <-hub.Process.Done():
		t.Fatal("the hub ended before the push did")
	default:
	}

	_, err := conn.Write([]byte("2\n"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, readStatus(t, conn))
	require.NoError(t, hub.Process.Wait(20*time.Second))
	require.Regexp(t, `(?m)level=WARN .*msg="[^"]*no scrape.*samples=4\b`, hub.Process.Log())
}

// With everything scraped it says that, too.
func TestStopWithNothingLeft(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	hub := s.Shards[0].Hub
	mustPush(t, hub, "early 1\n")
	body, err := fetch(t.Context(), hub.URL()+"/metrics?drain=1")
	require.NoError(t, err)
	require.NotEmpty(t, body)
	require.NoError(t, hub.Process.Stop(20*time.Second))
	require.Regexp(t, `msg="[^"]*every sample was scraped`, hub.Process.Log())
	require.NotContains(t, hub.Process.Log(), "level=WARN")
}

// beginPush sends the head of a push and the beginning of its body, of which
// so many more bytes will come, and returns when the hub is reading it: it
// says "100 Continue" then.
func beginPush(t *testing.T, hub *stack.Hub, body string, more int) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", hub.Address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(conn, "POST /metrics HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		hub.Address, len(body)+more)
	require.NoError(t, err)
	require.Equal(t, http.StatusContinue, readStatus(t, conn))
	_, err = conn.Write([]byte(body))
	require.NoError(t, err)
	return conn
}

// readStatus reads an answer and returns its status.
func readStatus(t *testing.T, conn net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
