package edgehub

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is written to a client that has closed the connection in order before looks
// taken: the write succeeds and the read says that the connection has ended. Only the
// client's system has not acknowledged it.
func TestClosedInOrderBeforeTheResponse(t *testing.T) {
	for _, early := range []bool{true, false} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer listener.Close()
		client, err := net.Dial("tcp", listener.Addr().String())
		require.NoError(t, err)
		conn, err := listener.Accept()
		require.NoError(t, err)
		defer conn.Close()
		p := &parting{conn: conn, in: bufio.NewReader(conn)}
		if early {
			require.NoError(t, client.Close())
			_, err = p.in.Peek(1)
			require.ErrorIs(t, err, io.EOF)
		}
		_, err = io.WriteString(conn, "response")
		require.NoError(t, err)
		if !early {
			_, err = io.ReadFull(client, make([]byte, len("response")))
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			require.NoError(t, client.Close())
		}
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		assert.Equal(t, !early, p.closedInOrder())
	}
}
