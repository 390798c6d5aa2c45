//go:build !linux

package handover

import "net"

// unacknowledged is how many bytes that were written to a connection the other side's
// system has not acknowledged, which only Linux tells.
func unacknowledged(net.Conn) int { return 0 }

// ends says whether the other side has ended a connection, which elsewhere is known
// when it is read.
func ends(net.Conn) bool { return false }

// cork keeps what is written until the end of the connection is, which elsewhere is
// done without.
func cork(net.Conn) {}
