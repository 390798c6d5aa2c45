package edgehub

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// acknowledged says whether the other side's system has acknowledged everything that
// was written to a connection, as far as can be told.
func acknowledged(c net.Conn) bool {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	left := 0
	_ = raw.Control(func(fd uintptr) { left, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }) // 0 if that fails
	return left <= 1                                                                         // the end of what was written counts as one byte
}
