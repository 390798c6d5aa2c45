package scrapers

import (
	"errors"
	"io"
	"net"
	"sync"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// relay stands between a scraper and its target as a network does that stalls: then
// requests get through, and answers wait.
type relay struct {
	address string
	target  string
	from    net.Addr // of its connections to the target; nil is any

	mu      sync.Mutex
	goes    sync.Cond
	stalled bool
}

// startRelay starts a relay that ends with the row.
func (r *row) startRelay(target string) *relay { return r.startRelayFrom(nil, target) }

// startRelayFrom starts a relay whose connections come from an address of their own, as
// those of another host would.
func (r *row) startRelayFrom(from net.Addr, target string) *relay {
	r.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r, err)
	y := &relay{address: listener.Addr().String(), target: target, from: from}
	y.goes.L = &y.mu
	var carried sync.WaitGroup
	carried.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			carried.Go(func() { y.carry(client.(*net.TCPConn)) })
		}
	})
	r.endsFirst(func() {
		listener.Close()
		y.stall(false)
		carried.Wait() // both sides of each connection have ended
	})
	return y
}

// stall lets answers wait, or go on.
func (y *relay) stall(stalled bool) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.stalled = stalled
	y.goes.Broadcast()
}

// await returns when answers may go on.
func (y *relay) await() {
	y.mu.Lock()
	defer y.mu.Unlock()
	for y.stalled {
		y.goes.Wait()
	}
}

// carry carries a connection to the target and back until one side ends it. A client
// that goes away is seen at the target at once, and what it did not get is not read: so
// the target sees its connection reset, as it would without a relay.
func (y *relay) carry(client *net.TCPConn) {
	defer client.Close()
	conn, err := (&net.Dialer{LocalAddr: y.from}).Dial("tcp", y.target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	var back sync.WaitGroup
	back.Go(func() {
		defer client.CloseWrite()
		buffer := make([]byte, 32<<10)
		for {
			arrives(server)
			y.await()
			n, err := server.Read(buffer)
			if _, err2 := client.Write(buffer[:n]); err != nil || err2 != nil {
				return
			}
		}
	})
	_, _ = io.Copy(server, client)
	server.Close()
	back.Wait()
}

// arrives waits until there is something to be read, and leaves it where it is.
func arrives(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // reading says more
	}
	_ = raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK)
		return !errors.Is(err, unix.EAGAIN)
	})
}
