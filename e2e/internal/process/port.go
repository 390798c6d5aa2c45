package process

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports below those that kernels give to sockets that ask for none (32768 on
// Linux, 49152 elsewhere): what another program opens in passing cannot take
// one of these between its choice and its use.
const (
	firstPort = 15000
	lastPort  = 32000
)

// FreeAddress returns a loopback address that nobody listens on, for programs
// that cannot choose a port by themselves, or that must come back on the same
// one. Another program may still take it first: start again with another one
// when the log says so.
func FreeAddress() (string, error) {
	var last error
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort))
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
