//go:build !linux

package edgehub

import "net"

// acknowledged says whether the other side's system has acknowledged everything that
// was written to a connection, which only Linux tells.
func acknowledged(net.Conn) bool { return true }
