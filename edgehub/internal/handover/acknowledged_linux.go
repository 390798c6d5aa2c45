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
	socket, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) // 0 if that fails
	return left
}
