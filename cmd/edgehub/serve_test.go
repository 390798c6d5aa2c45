package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// selfSigned writes a certificate for 127.0.0.1 and its key, and returns a pool
// that trusts it.
func selfSigned(t *testing.T, certFile, keyFile string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	require.NoError(t, os.WriteFile(certFile, cert, 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(cert))
	return pool
}

// request asks a hub, as a user if one is named, and returns the answer and its body.
func request(t *testing.T, client *http.Client, method, url, user, password string) (*http.Response, string) {
	t.Helper()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("x 1\n")
	}
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	return answer, string(text)
}

// A web config file brings TLS and passwords, as for every exporter, to the door that it is
// for. A scrape has a connection of its own, since that tells whether it arrived, and
// probes need no password.
func TestWebConfig(t *testing.T) {
	dir := t.TempDir()
	pool := selfSigned(t, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	config := func(user string) string {
		file := filepath.Join(dir, user+".yml")
		require.NoError(t, os.WriteFile(file, []byte(`tls_server_config: {cert_file: cert.pem, key_file: key.pem}
basic_auth_users: {`+user+`: "$2a$04$lyyMdQ3B27LhiL84n/C3qeHEl8mN3tEmSCxRkJYVo77YB9FodVLhi"}
`), 0o600)) // the password is "secret"
		return file
	}
	hub := start(t, "--hub.name=the-hub:9091", "--web.config.file="+config("sender"), "--scrape.listen-address=127.0.0.1:0", "--scrape.web.config.file="+config("prom"))
	push, scrapes := "https://"+hub.address, "https://"+hub.scrapeAddress(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	f := func(method, url, user, password string, status int, want string) {
		t.Helper()
		answer, text := request(t, client, method, url, user, password)
		assert.Equal(t, status, answer.StatusCode, "%s %s", method, url)
		assert.Contains(t, text, want)
		assert.Equal(t, "HTTP/1.1", answer.Proto)
		assert.Regexp(t, "^edgehub/[^ ]+ the-hub:9091$", answer.Header.Get("Hubring-Hub"), "%s %s", method, url)
	}
	for _, door := range []string{push, scrapes} {
		f("GET", door+"/-/ready", "", "", 200, "edgehub is ready")
		f("GET", door+"/-/healthy", "", "", 200, "edgehub is healthy")
		f("HEAD", door+"/-/ready", "", "", 200, "")
		f("GET", door+"/-/ready", "nobody", "guess", 200, "edgehub is ready")
		f("POST", door+"/-/ready", "", "", 401, "Unauthorized")
		for _, path := range []string{"/", "/metrics", "/-/ready/", "/-/ready/../../metrics", "/-%2Fready", "/%2D/ready", "//-/ready", "/debug", "/internal", "/gateways"} {
			f("GET", door+path, "", "", 401, "Unauthorized")
		}
	}
	f("POST", push+"/metrics", "", "", 401, "Unauthorized")
	f("POST", push+"/metrics", "prom", "secret", 401, "Unauthorized")
	f("POST", push+"/metrics", "sender", "guess", 401, "Unauthorized")
	f("POST", push+"/metrics", "sender", "secret", 200, "")
	f("GET", scrapes+"/metrics", "sender", "secret", 401, "Unauthorized")
	f("GET", scrapes+"/metrics?drain=1", "prom", "secret", 200, "x 1 ")
	client.CloseIdleConnections()
	hub.stop()
	require.NoError(t, <-hub.ended)
	assert.Contains(t, hub.log.String(), "every sample was scraped")
}

// With --scrape.listen-address pushes and scrapes have ports of their own.
func TestTwoDoors(t *testing.T) {
	hub := start(t, "--scrape.listen-address=127.0.0.1:0", "--web.enable-pprof")
	scrapeAddress := hub.scrapeAddress(t)
	push, scrapes := "http://"+hub.address, "http://"+scrapeAddress
	client := &http.Client{Transport: &http.Transport{}}
	f := func(method, url string, status int, want string) {
		t.Helper()
		answer, text := request(t, client, method, url, "", "")
		assert.Equal(t, status, answer.StatusCode, "%s %s", method, url)
		assert.Contains(t, text, want)
	}
	f("POST", push+"/metrics", 200, "")
	f("POST", scrapes+"/metrics", 404, "pushes go to the port of --web.listen-address")
	for _, path := range []string{"/metrics", "/metrics?drain=1", "/gateways", "/debug", "/internal", "/"} {
		f("GET", push+path, 404, "at the port of --scrape.listen-address")
	}
	f("GET", push+"/debug/pprof/cmdline", 404, "Not Found")
	f("GET", scrapes+"/debug/pprof/cmdline", 200, "edgehub")
	f("GET", scrapes+"/debug", 200, "pending        1 samples")
	f("GET", scrapes+"/internal", 200, "edgehub_samples_received_total 1\n")
	for _, door := range []string{push, scrapes} {
		f("GET", door+"/-/ready", 200, "edgehub is ready")
	}
	f("POST", scrapes+"/metrics?drain=1", 200, "x 1 ")
	client.CloseIdleConnections()
	hub.stop()
	require.NoError(t, <-hub.ended)
	assert.Contains(t, hub.log.String(), "every sample was scraped")
	for _, address := range []string{hub.address, scrapeAddress} {
		_, err := net.Dial("tcp", address)
		assert.Error(t, err, "served after the end")
	}
}

// A door that does not open leaves none open, and the log names addresses in the order of
// the flags.
func TestAllDoorsOrNone(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	out, err := edgehubCommand("--web.listen-address=127.0.0.1:0", "--scrape.listen-address="+taken.Addr().String()).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "address already in use")
	assert.NotContains(t, string(out), "Listening on")

	file := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(file, []byte("basic_auth_users: {prom: plain}\n"), 0o600))
	out, err = edgehubCommand("--web.listen-address=127.0.0.1:0", "--scrape.listen-address=127.0.0.1:0", "--scrape.web.config.file="+file).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "read "+file)
	assert.NotContains(t, string(out), "Listening on")

	hub := start(t, "--web.listen-address=127.0.0.1:0", "--scrape.listen-address=127.0.0.1:0")
	hub.scrapeAddress(t)
	assert.Regexp(t, `(?s)"Listening on" address=.*"Listening on" address=.*"Listening on" door=scrape address=`, hub.log.String())
	hub.stop()
	require.NoError(t, <-hub.ended)
}

func TestPprofIsServedIfAskedFor(t *testing.T) {
	f := func(hub *running, path string, status int, want string) {
		t.Helper()
		r, err := http.Get("http://" + hub.address + path)
		require.NoError(t, err)
		defer r.Body.Close()
		text, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		assert.Equal(t, status, r.StatusCode, path)
		assert.Contains(t, string(text), want, path)
	}
	paths := map[string]string{
		"":                  "goroutine",
		"goroutine?debug=1": "goroutine profile:",
		"heap?debug=1":      "heap profile:",
		"cmdline":           "edgehub",
		"symbol":            "num_symbols: 1",
	}
	closed, open := start(t), start(t, "--web.enable-pprof")
	for path := range paths {
		f(closed, "/debug/pprof/"+path, http.StatusNotFound, "Not Found")
	}
	for path, want := range paths {
		f(open, "/debug/pprof/"+path, http.StatusOK, want)
	}
	f(open, "/debug", http.StatusOK, "pending")
	f(open, "/-/ready", http.StatusOK, "edgehub is ready")
	for _, hub := range []*running{closed, open} {
		hub.stop()
		require.NoError(t, <-hub.ended)
	}
}
