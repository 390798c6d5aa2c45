package exporter

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// sinkVariable makes the test binary serve sinks in place of running tests.
const sinkVariable = "HUBRING_TEST_SINKS"

// sinks is how many hubs a child serves.
const sinks = 3

// startSinks starts a process with hubs that read and forget what is pushed, and
// returns their base URLs. They are a process of their own so that the CPU time
// of this one is the sender's.
func startSinks(t testing.TB) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), sinkVariable+"=1")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe() // the child ends when it is closed
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	})
	var urls []string
	lines := bufio.NewScanner(stdout)
	for len(urls) < sinks && lines.Scan() {
		urls = append(urls, lines.Text())
	}
	require.Len(t, urls, sinks)
	return urls
}

// serveSinks is the child: it prints the URLs and serves until stdin ends.
func serveSinks() {
	for range sinks {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			fmt.Fprintln(os.Stderr, "listening for sinks:", err)
			os.Exit(1)
		}
		go func() { _ = http.Serve(l, http.HandlerFunc(sink)) }()
		fmt.Printf("http://%s\n", l.Addr())
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func sink(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	w.Header().Set(exposition.HubHeader, "edgehub/sink")
}
