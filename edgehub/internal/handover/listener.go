package handover

import (
	"errors"
	"net"
	"time"
)

// Listen returns a listener whose connections the desk watches and bounds. What is
// laid over it, such as TLS, must leave the addresses of a connection as they are.
func (d *Desk) Listen(l net.Listener) net.Listener { return &listener{Listener: l, desk: d} }

type listener struct {
	net.Listener
	desk *Desk
}

// Accept implements net.Listener. A connection that finds no place is closed, and the
// next one is waited for.
func (l *listener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := l.desk.watch(conn)
		if remote, ok := l.desk.admit(c); ok {
			return &watched{Conn: conn, of: c, remote: remote}, nil
		}
	}
}

// watch makes a connection one of the desk's.
func (d *Desk) watch(conn net.Conn) *Conn {
	remote := conn.RemoteAddr().String()
	c := &Conn{desk: d, conn: conn, host: hostOf(remote), at: addressesOf(remote, conn.LocalAddr())}
	c.early = none
	c.idle.L = &c.mu
	return c
}

// numbered is an address that others have, too, with a number.
type numbered struct {
	net.Addr
	text string
}

func (a numbered) String() string { return a.text }

// hostOf is the host of an address, or all of it if it has no port.
func hostOf(address string) string {
	if host, _, err := net.SplitHostPort(address); err == nil {
		return host
	}
	return address
}

// watched is a connection whose every read and write the desk sees. Whatever the
// server lays over it, net/http's own account of connections is not needed.
type watched struct {
	net.Conn
	of     *Conn
	remote net.Addr
}

// RemoteAddr implements net.Conn.
func (w *watched) RemoteAddr() net.Addr { return w.remote }

// NetConn returns the connection that is watched.
func (w *watched) NetConn() net.Conn { return w.Conn }

// Read implements net.Conn.
func (w *watched) Read(b []byte) (int, error) {
	held, err := w.of.beforeRead()
	if err != nil {
		return 0, err
	}
	if err := w.writeHeld(held); err != nil {
		w.of.afterRead(nil, nil)
		return 0, err
	}
	n, err := w.Conn.Read(b)
	if !w.of.afterRead(b[:n], err) {
		return 0, net.ErrClosed
	}
	return n, err
}

// Write implements net.Conn.
func (w *watched) Write(b []byte) (int, error) {
	held, keep, err := w.of.beforeWrite(b)
	if err == nil {
		err = w.writeHeld(held)
	}
	if err != nil {
		return 0, err
	}
	if keep {
		return len(b), nil
	}
	n, err := w.Conn.Write(b)
	w.of.afterWrite(err)
	return n, err
}

// writeHeld writes what was kept back.
func (w *watched) writeHeld(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := w.Conn.Write(b)
	w.of.afterWrite(err)
	return err
}

// CloseWrite closes the half of the connection that the server writes to.
func (w *watched) CloseWrite() error { return w.of.closeWrite() }

// Close implements net.Conn. Where a response is owed that its client may still
// read, only what the server knows of the connection is closed at once.
func (w *watched) Close() error { return w.of.close() }

// SetDeadline implements net.Conn.
func (w *watched) SetDeadline(t time.Time) error {
	return errors.Join(w.SetReadDeadline(t), w.SetWriteDeadline(t))
}

// SetReadDeadline implements net.Conn. A connection on which a response is owed
// outlives what the server allows an idle one.
func (w *watched) SetReadDeadline(t time.Time) error { return w.of.setReadDeadline(t) }

// SetWriteDeadline implements net.Conn.
func (w *watched) SetWriteDeadline(t time.Time) error {
	if w.of.isClosed() {
		return net.ErrClosed
	}
	return w.Conn.SetWriteDeadline(t)
}

// bare is the connection that others run over, or c itself.
func bare(c net.Conn) net.Conn {
	for {
		over, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			return c
		}
		c = over.NetConn()
	}
}
