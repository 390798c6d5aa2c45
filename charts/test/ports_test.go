package charttest

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// Ports below those that kernels give to sockets that ask for none (32768 on Linux): what another
// program opens in passing cannot take one of these between its choice and its use. No two
// tests of a run get the same one, and another run begins elsewhere.
const (
	firstPort = 10000
	lastPort  = 15000
)

var portsGiven atomic.Int64

// freeAddress returns a port of the loopback on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	for {
		n := int(portsGiven.Add(1))
		require.Less(t, n, lastPort-firstPort, "ports of the loopback")
		address := "127.0.0.1:" + strconv.Itoa(firstPort+(os.Getpid()+n)%(lastPort-firstPort))
		if l, err := net.Listen("tcp", address); err == nil {
			require.NoError(t, l.Close())
			return address
		}
	}
}
