package exportertest

import (
	"bytes"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is written comes out in order, however much more it is than fits.
func TestPipeCarriesMoreThanFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe("a:80")
		want := make([]byte, 10*windowBytes+7)
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		wrote := make(chan error)
		go func() {
			_, err := p.client.Write(want)
			p.client.Close()
			wrote <- err
		}()
		synctest.Wait()
		assert.Equal(t, windowBytes, p.up.pending())
		var got bytes.Buffer
		_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{&p.server}, make([]byte, 1000))
		require.NoError(t, err)
		require.NoError(t, <-wrote)
		assert.True(t, bytes.Equal(want, got.Bytes()))
		assert.LessOrEqual(t, cap(p.up.bytes), 4*windowBytes)
	})
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipe("a:80")
		begin, buf := time.Now(), make([]byte, 1)
		require.NoError(t, p.client.SetReadDeadline(begin.Add(time.Second)))
		_, err := p.client.Read(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		timeout, ok := err.(net.Error) //nolint:errorlint // net/http asserts like this, too
		require.True(t, ok)
		assert.True(t, timeout.Timeout())
		assert.Equal(t, time.Second, time.Since(begin))

		require.NoError(t, p.client.SetDeadline(time.Now().Add(time.Second)))
		require.NoError(t, p.client.SetDeadline(time.Now().Add(time.Minute)))
		_, err = p.client.Write(make([]byte, windowBytes+1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		assert.Equal(t, time.Second+time.Minute, time.Since(begin))

		require.NoError(t, p.client.SetDeadline(time.Time{}))
		_, err = p.server.Write([]byte("x"))
		require.NoError(t, err)
		n, err := p.client.Read(buf)
		require.NoError(t, err)
		assert.Equal(t, 1, n)
		require.NoError(t, p.client.SetWriteDeadline(time.Now().Add(-1)))
		_, err = p.client.Write(buf)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}

func TestPipeEnds(t *testing.T) {
	p := newPipe("a:80")
	buf := make([]byte, 10)
	_, err := p.client.Write([]byte("last words"))
	require.NoError(t, err)
	require.NoError(t, p.client.Close())
	require.ErrorIs(t, p.client.Close(), net.ErrClosed)
	_, err = p.client.Read(buf)
	require.ErrorIs(t, err, net.ErrClosed)
	_, err = p.client.Write(buf)
	require.ErrorIs(t, err, net.ErrClosed)
	n, err := p.server.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, "last words", string(buf[:n]))
	_, err = p.server.Read(buf)
	require.Equal(t, io.EOF, err)
	_, err = p.server.Write(buf)
	require.ErrorIs(t, err, syscall.EPIPE)

	p = newPipe("a:80")
	_, err = p.client.Write([]byte("lost"))
	require.NoError(t, err)
	p.reset()
	_, err = p.server.Read(buf)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	_, err = p.client.Write(buf)
	require.EqualError(t, err, "write tcp client->a:80: write: "+syscall.ECONNRESET.Error())
	assert.Equal(t, "client", p.server.RemoteAddr().String())
	assert.Equal(t, "a:80", p.server.LocalAddr().String())
}
