package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// asked is a server that stores nothing, and says who asked it.
func asked(t *testing.T) (server *httptest.Server, passwords chan string) {
	t.Helper()
	passwords = make(chan string, 1)
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		select {
		case passwords <- password:
		default:
		}
		http.Error(w, "not today", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	return server, passwords
}

func writePassword(t *testing.T, file, password string) {
	t.Helper()
	require.NoError(t, os.WriteFile(file, []byte("basic_auth: {username: hub, password: "+password+"}\n"), 0o600))
}

// A server is asked as the file says, and after SIGHUP as it says then.
func TestServerConfigFile(t *testing.T) {
	server, passwords := asked(t)
	file := filepath.Join(t.TempDir(), "http.yml")
	writePassword(t, file, "first")
	hub := start(t, "--scrape.server="+server.URL, "--scrape.server-config.file="+file, "--web.stop-timeout=0s")
	passwordOf := func() string {
		t.Helper()
		answer, text := request(t, http.DefaultClient, http.MethodPost, "http://"+hub.address+"/metrics", "", "")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		assert.Contains(t, scrape(t, hub.address), "\nedgehub_receipt ")
		select { // of an earlier question
		case <-passwords:
		default:
		}
		return <-passwords
	}
	assert.Equal(t, "first", passwordOf())

	writePassword(t, file, "second")
	hub.reload <- os.Interrupt // any
	hub.log.await(t, `(reloaded the files)`)
	if passwordOf() == "first" { // by a question that was under way
		assert.Equal(t, "second", passwordOf())
	}

	require.NoError(t, os.WriteFile(file, []byte("basic_auths: {}\n"), 0o600))
	hub.reload <- os.Interrupt
	hub.log.await(t, `(told to reload; servers are asked as before.*http.yml)`)
	assert.Equal(t, "second", passwordOf())
	hub.stop()
	<-hub.ended // with samples that this server does not have, or not
}

func TestServerConfigFileWithFaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "http.yml")
	for _, text := range []string{"basic_auths: {}\n", "tls_config: {ca_file: /does/not/exist}\n"} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		out, err := edgehubCommand("--web.listen-address=127.0.0.1:0", "--scrape.server=http://127.0.0.1:1", "--scrape.server-config.file="+file).CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), "read how servers are asked: "+file)
	}
}
