package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Sockets that systemd opened are those of pushes, and of all else where there is no
// second port.
func TestSystemdSocket(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	socket, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	require.NoError(t, listener.Close()) // the other descriptor keeps it
	defer socket.Close()

	// systemd says for which process the sockets are, and a shell keeps its number.
	hub := &process{Cmd: exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0],
		"--web.systemd-socket", "--scrape.listen-address=127.0.0.1:0"), log: &logged{written: make(chan struct{}, 1)}}
	hub.Env = append(os.Environ(), "BE_EDGEHUB=1", "LISTEN_FDS=1")
	hub.ExtraFiles = []*os.File{socket}
	hub.Stdout, hub.Stderr = hub.log, hub.log
	require.NoError(t, hub.Start())
	t.Cleanup(func() { _ = hub.Process.Kill() })
	assert.Equal(t, address, hub.log.await(t, `msg="Listening on" address=(\S+)`))
	scrapes := hub.log.await(t, `msg="Listening on" door=scrape address=(\S+)`)
	f := func(method, url string, status int) {
		t.Helper()
		answer, text := request(t, http.DefaultClient, method, url, "", "")
		assert.Equal(t, status, answer.StatusCode, text)
	}
	f("POST", "http://"+address+"/metrics", 200)
	f("GET", "http://"+address+"/metrics", 404)
	f("GET", "http://"+scrapes+"/metrics?drain=1", 200)
	hub.tell(t, syscall.SIGTERM)
	http.DefaultClient.CloseIdleConnections()
	hub.requireStatus(t, 0)
}

func TestSystemdSocketThatIsNotThere(t *testing.T) {
	out, err := edgehubCommand("--web.systemd-socket").CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "--web.systemd-socket is set, but systemd handed over no socket")
}
