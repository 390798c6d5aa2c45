package handover

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes that were written to a connection the other side's
// system has not acknowledged, or 0 if that can't be told. The end of what is
// written counts as one byte.
func unacknowledged(c net.Conn) (left int) {
	control(c, func(fd int) { left, _ = unix.IoctlGetInt(fd, unix.SIOCOUTQ) }) // 0 if that fails
	return left
}

// ends says whether the other side has ended a connection, in order or not, which
// may not have been read yet. It takes nothing from who reads it.
func ends(c net.Conn) (ended bool) {
	control(c, func(fd int) {
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		for {
			_, err := unix.Poll(fds, 0)
			if err != unix.EINTR {
				break
			}
		}
		ended = fds[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return ended
}

// cork keeps what is written until the end of the connection is, or for 200 ms, so that
// both come at once.
func cork(c net.Conn) {
	control(c, func(fd int) { _ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_CORK, 1) }) // else they come one after the other
}

// control calls f with the descriptor of a connection that has one.
func control(c net.Conn, f func(fd int)) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := socket.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { f(int(fd)) }) // it is closed, which is known elsewhere
	}
}
