package main

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// collect pushes a gauge x of 1 by gRPC, and returns the status.
func collect(t *testing.T, client *http.Client, url string) (status string, answer *http.Response) {
	t.Helper()
	family := "\x0a\x01x\x18\x01\x22\x0b\x12\x09\x09\x00\x00\x00\x00\x00\x00\xf0\x3f"
	message := append([]byte{0x0a, byte(len(family))}, family...)
	body := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/grpc.MetricsController/Collect", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	answer, err = client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	return answer.Trailer.Get("Grpc-Status"), answer
}

// By gRPC what is pushed goes where all goes, and a hub that stops waits for it.
func TestGRPC(t *testing.T) {
	hub := start(t, "--hub.name=the-hub:9091", "--grpc.listen-address=127.0.0.1:0")
	url := "http://" + hub.log.await(t, `msg="Listening on" door=grpc address=(\S+)`)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	status, answer := collect(t, client, url)
	assert.Equal(t, "0", status)
	assert.Regexp(t, "^edgehub/[^ ]+ the-hub:9091$", answer.Header.Get("Hubring-Hub"))
	hub.stop()
	hub.log.await(t, `(waiting for a scrape of what was pushed)`)
	status, answer = collect(t, client, url)
	assert.Equal(t, "14", status, "a hub that stops")
	assert.Equal(t, "stopping", answer.Trailer.Get("Hubring-Reason"))
	assert.Regexp(t, `(?m)^x 1 \d+$`, scrape(t, hub.address))
	require.NoError(t, <-hub.ended, "the client's connection is open, and told to go away")
	assert.NotContains(t, hub.log.String(), "requests were cut off")
}

func TestGRPCByTLS(t *testing.T) {
	dir := t.TempDir()
	pool := selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	file := filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(file, []byte("tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"), 0o600))
	hub := start(t, "--grpc.listen-address=127.0.0.1:0", "--grpc.web.config.file="+file, "--web.stop-timeout=0s")
	url := "https://" + hub.log.await(t, `msg="Listening on" door=grpc address=(\S+)`)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	status, answer := collect(t, client, url)
	assert.Equal(t, "0", status)
	assert.Equal(t, "HTTP/2.0", answer.Proto)
	client.CloseIdleConnections()
	hub.stop()
	require.ErrorIs(t, <-hub.ended, errLost)
}
