package process

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports below those that kernels give to sockets that ask for none (32768 on
// Linux, 49152 elsewhere): what another program opens in passing cannot take
// one of these between its choice and its use.
const (
	firstPort = 15000
	lastPort  = 32000
)

// given are the ports that FreeAddress has returned.
var given sync.Map

// FreeAddress returns a loopback address that nobody listens on, for programs
// that cannot choose a port by themselves, or that must come back on the same
// one. It never returns one twice. Another program may still take it first: start
// again with another one when the log says so.
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort)
		address := fmt.Sprintf("127.0.0.1:%d", port)
		if _, again := given.LoadOrStore(port, true); again {
			last = fmt.Errorf("%s was given to somebody already", address)
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		if err := listener.Close(); err != nil {
			return "", fmt.Errorf("look for a free port: %w", err)
		}
		return address, nil
	}
	return "", fmt.Errorf("look for a free port: %w", last)
}
