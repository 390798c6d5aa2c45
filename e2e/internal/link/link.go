// Package link is the network between a client and a server: a TCP proxy that loses, as it is told to, what
// comes back.
package link

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
)

// Mode is what a link does with connections, those that there are as well.
type Mode int

const (
	// Well passes everything on.
	Well Mode = iota
	// LosesAnswers passes on what the client sends, and cuts the connection in place of the first byte of an answer.
	LosesAnswers
	// CutsAnswers cuts the connection in the middle of an answer, anywhere, or lets one through.
	CutsAnswers
	// HoldsAnswers lets the client wait: answers go nowhere, and the connection stays.
	HoldsAnswers
	// Refuses closes every connection at once.
	Refuses
)

var names = [...]string{"well", "loses answers", "cuts answers", "holds answers", "refuses"}

func (m Mode) String() string { return names[m] }

// Link passes connections on to a server. Its methods may be called from any goroutine.
type Link struct {
	Address string // where clients connect

	server   string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	mode  Mode
	rnd   *rand.Rand
	open  map[net.Conn]struct{}
	lost  int // answers
	ended bool
}

// New returns a link to a server, with random numbers of its own. It ends with Close.
func New(server string, seed uint64) (*Link, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("link to %s: %w", server, err)
	}
	k := &Link{Address: l.Addr().String(), server: server, listener: l, rnd: rand.New(rand.NewPCG(seed, 0)), open: map[net.Conn]struct{}{}}
	k.running.Go(k.accept)
	return k, nil
}

// Set changes the mode.
func (k *Link) Set(m Mode) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.mode = m
	if m == Refuses {
		k.cutLocked()
	}
}

// Lost returns how many answers were lost, in part or as a whole.
func (k *Link) Lost() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.lost
}

// Close ends all connections and waits for them.
func (k *Link) Close() {
	_ = k.listener.Close()
	k.mu.Lock()
	k.ended = true
	k.cutLocked()
	k.mu.Unlock()
	k.running.Wait()
}

func (k *Link) cutLocked() {
	for c := range k.open {
		_ = c.Close()
	}
}

func (k *Link) accept() {
	for {
		client, err := k.listener.Accept()
		if err != nil {
			return // Close
		}
		k.running.Go(func() { k.pass(client) })
	}
}

// keep notes a connection, so that it can be cut, or closes it.
func (k *Link) keep(c net.Conn) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.ended || k.mode == Refuses {
		_ = c.Close()
		return false
	}
	k.open[c] = struct{}{}
	return true
}

func (k *Link) drop(c net.Conn) {
	_ = c.Close()
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.open, c)
}

// pass is the life of a connection.
func (k *Link) pass(client net.Conn) {
	if !k.keep(client) {
		return
	}
	defer k.drop(client)
	server, err := net.Dial("tcp", k.server)
	if err != nil || !k.keep(server) {
		return
	}
	defer k.drop(server)
	var asking sync.WaitGroup
	asking.Go(func() {
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	})
	_, _ = io.Copy(answers{client, k}, server)
	_ = client.Close()
	_ = server.Close()
	asking.Wait()
}

// answers is the way back to a client.
type answers struct {
	client net.Conn
	link   *Link
}

var errLost = errors.New("the answer is lost")

// Write implements io.Writer.
func (a answers) Write(b []byte) (int, error) {
	mode, n := a.link.judge(len(b))
	if mode == HoldsAnswers {
		return len(b), nil
	}
	n, err := a.client.Write(b[:n])
	if mode != Well {
		err = errLost
	}
	return n, err
}

// judge returns what becomes of so many bytes of an answer, and how many of them get through if it is cut.
func (k *Link) judge(bytes int) (m Mode, n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.mode == Well {
		return Well, bytes
	}
	if k.mode == CutsAnswers {
		if n = k.rnd.IntN(2 * bytes); n >= bytes {
			return Well, bytes // what follows may not get through
		}
	}
	k.lost++
	return k.mode, n
}
