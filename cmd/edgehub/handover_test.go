package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startOnDisk starts a process that holds a sample, as soon as it has opened its disk.
func startOnDisk(t *testing.T, args ...string) *process {
	t.Helper()
	hub := launch(t, args...)
	require.Eventually(t, func() bool {
		answer, err := http.Post("http://"+hub.address+"/metrics", "text/plain", strings.NewReader("x 1\n"))
		return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
	}, 10*time.Second, 10*time.Millisecond)
	return hub
}

// A hub that stops and is not scraped hands over what it has, with or without a disk, and then it has lost nothing.
func TestStopHandsOver(t *testing.T) {
	web, client := filepath.Join(t.TempDir(), "web.yml"), filepath.Join(t.TempDir(), "http.yml")
	require.NoError(t, os.WriteFile(web, []byte(`basic_auth_users: {hub: "$2a$04$lyyMdQ3B27LhiL84n/C3qeHEl8mN3tEmSCxRkJYVo77YB9FodVLhi"}`), 0o600))
	require.NoError(t, os.WriteFile(client, []byte("basic_auth: {username: hub, password: secret}\n"), 0o600))
	stays := start(t, "--hub.name=stays", "--web.stop-timeout=0s", "--web.config.file="+web)
	for _, args := range [][]string{
		{"--handover.to=http://127.0.0.1:1", "--handover.to=http://hub:secret@" + stays.address, "--web.stop-timeout=40s", "--handover.after=50ms"},
		{"--handover.to=http://" + stays.address, "--handover.config.file=" + client, "--web.stop-timeout=2s", "--storage.path=" + t.TempDir()},
	} {
		hub := startOnDisk(t, append(args, "--hub.name=goes")...)
		hub.tell(t, syscall.SIGTERM)
		hub.requireStatus(t, 0)
		assert.Contains(t, hub.log.String(), `msg="handed over what waited" to=stays taken=1 ended=0 refused=0 left=0`)
		assert.Contains(t, hub.log.String(), `msg="stopped; every sample was scraped or handed over" samples=1`)
		assert.NotContains(t, hub.log.String(), "secret")
	}
	answer, text := request(t, http.DefaultClient, http.MethodGet, "http://"+stays.address+"/metrics", "hub", "secret")
	require.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, 2, strings.Count(text, "\n"))
	stays.stop()
	assert.ErrorIs(t, <-stays.ended, errLost)
}

// Of several hubs one that stops itself is not waited for, and one that is full leaves time for the next.
func TestStopHandsOverToTheNext(t *testing.T) {
	stops := startProcess(t, "--hub.name=stops", "--web.stop-timeout=1h")
	full := startProcess(t, "--hub.name=full", "--limit.samples=1")
	stays := startProcess(t, "--hub.name=stays")
	stops.tell(t, syscall.SIGTERM)
	stops.log.await(t, `(waiting for a scrape)`)
	hub := startProcess(t, "--hub.name=goes", "--handover.to=http://"+stops.address, "--handover.to=http://"+full.address, "--handover.to=http://"+stays.address,
		"--handover.after=10ms", "--web.stop-timeout=5s")
	hub.tell(t, syscall.SIGTERM)
	hub.requireStatus(t, 0)
	assert.Contains(t, hub.log.String(), "the other hub stops itself: status 503: the hub is stopping and takes no more; push to another one")
	assert.Contains(t, hub.log.String(), `msg="handed over what waited" to=stays taken=1 ended=0 refused=0 left=0`)
}

// Where its scraper comes first it hands over nothing, and where nobody takes it that is said, also with a disk that goes away.
func TestStopThatCannotHandOver(t *testing.T) {
	nobody := "--handover.to=http://user:secret@127.0.0.1:1"
	hub := startProcess(t, nobody, "--web.stop-timeout=40s")
	hub.tell(t, syscall.SIGTERM)
	hub.log.await(t, `(waiting for a scrape)`)
	scrape(t, hub.address)
	hub.requireStatus(t, 0)
	assert.NotContains(t, hub.log.String(), "another hub")

	hub = startOnDisk(t, nobody, "--web.stop-timeout=1s", "--handover.after=10ms", "--storage.path="+t.TempDir())
	hub.tell(t, syscall.SIGTERM)
	hub.requireStatus(t, 1)
	assert.Contains(t, hub.log.String(), `msg="not all was handed over" to="" taken=0`)
	assert.Contains(t, hub.log.String(), "the other hub does not answer: dial tcp 127.0.0.1:1: connect: connection refused")
	assert.Contains(t, hub.log.String(), `msg="stopped with samples that no scraper is known to have; they are on disk alone" samples=1`)
	assert.NotContains(t, hub.log.String(), "secret")
}

// A scraper that is dead, and behind another one, is not waited for any longer.
func TestStopThatHasNothingToHandOver(t *testing.T) {
	hub := startProcess(t, "--handover.to=http://127.0.0.1:1", "--web.stop-timeout=1h", "--handover.after=1s", "--scrape.cursor=a", "--scrape.cursor=b")
	answer, err := http.Get("http://" + hub.address + "/metrics?drain=1&cursor=a")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	http.DefaultClient.CloseIdleConnections()
	hub.tell(t, syscall.SIGTERM)
	hub.requireStatus(t, 0)
	assert.Contains(t, hub.log.String(), "a scraper has not come in the time of --handover.after")
	assert.NotContains(t, hub.log.String(), "another hub")
}

func TestHandoverFlags(t *testing.T) {
	for args, says := range map[string]string{
		"--handover.to=far:9091":                        `--handover.to has the URL "far:9091", it must be like http://HOST:PORT or https://HOST:PORT`,
		"--handover.to=ftp://u:secret@far":              `--handover.to has the URL "ftp://xxxxx@far", it must be`,
		"--handover.to=http://far --handover.after=2m":  "--handover.after is 2m0s, it must be part of --web.stop-timeout, which is 1m15s",
		"--handover.config.file=x":                      "--handover.config.file says how another hub is reached, and none is to be",
		"--handover.to=http://far --handover.after=-1s": "--handover.after is -1s",
	} {
		_, err := parse(strings.Fields(args))
		assert.ErrorContains(t, err, says, args)
	}
	_, err := edgehubCommand("--handover.to=http://far", "--handover.config.file=/does/not/exist").Output()
	require.Error(t, err)
}
