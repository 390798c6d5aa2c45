package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
)

const patience = time.Minute

// TestMain lets the test binary be hubquery itself.
func TestMain(m *testing.M) {
	if os.Getenv("BE_HUBQUERY") != "" {
		main()
		return
	}
	m.Run()
}

func hubquery(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_HUBQUERY=1")
	return cmd
}

func TestHelpVersionAndMistakes(t *testing.T) {
	for flag, says := range map[string]string{
		"--help": "Answers PromQL over all shards of a fleet, as one Prometheus", "-h": "--shard=NAME=URL[,URL]", "--version": "hubquery, version",
	} {
		out, err := hubquery(t.Context(), flag).Output()
		require.NoError(t, err)
		assert.Contains(t, string(out), says)
	}
	dir := t.TempDir()
	wrong := filepath.Join(dir, "wrong.yml")
	require.NoError(t, os.WriteFile(wrong, []byte("nonsense: {"), 0o600))
	shards := filepath.Join(dir, "shards.yml")
	require.NoError(t, os.WriteFile(shards, []byte("shards: [{name: a, servers: [a:9090]}]"), 0o600))
	for _, c := range []struct {
		says string
		args []string
	}{
		{"no shard is named: give --shards.file, or --shard=NAME=URL for each", nil},
		{"--shards.file and --shard exclude each other", []string{"--shard=0=http://a", "--shards.file=x"}},
		{`--shard: "http://a" is not NAME=URL[,URL]`, []string{"--shard=http://a"}},
		{`--shard: shard "0" is there twice`, []string{"--shard=0=http://a", "--shard=0=http://b"}},
		{"--query.max-concurrency is 0, it must be above 0", []string{"--shard=0=http://a", "--query.max-concurrency=0"}},
		{"--shards.max-requests is -1, it must be above 0", []string{"--shard=0=http://a", "--shards.max-requests=-1"}},
		{"--query.timeout is 1µs, it must be 1ms at least", []string{"--shard=0=http://a", "--query.timeout=1us"}},
		{"--gateway.label is empty", []string{"--shard=0=http://a", "--gateway.label="}},
		{"--archive.url and --archive.after need each other", []string{"--shard=0=http://a", "--archive.after=1h"}},
		{`--archive.url: "thanos" is no URL`, []string{"--shard=0=http://a", "--archive.url=thanos", "--archive.after=1h"}},
		{`--tracing.endpoint: "collector:4318" is no URL`, []string{"--shard=0=http://a", "--tracing.endpoint=collector:4318"}},
		{"--web.cors.origin: ", []string{"--shard=0=http://a", "--web.cors.origin=("}},
		{"--web.config.file: ", []string{"--shard=0=http://a", "--web.config.file=" + wrong}},
		{"unknown long flag '--nosuch'", []string{"--nosuch"}},
		{"unexpected x", []string{"--shard=0=http://a", "x"}},
	} {
		cmd := hubquery(t.Context(), c.args...)
		var said strings.Builder
		cmd.Stderr = &said
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Run(), &exit, c.args)
		assert.Equal(t, 2, exit.ExitCode(), c.args)
		assert.Contains(t, said.String(), c.says)
		assert.Contains(t, said.String(), "; try --help")
	}
	// What is found out only when it begins.
	for _, args := range [][]string{
		{"--shards.file=" + shards}, {"--shards.file=" + filepath.Join(dir, "none")}, {"--shard=0=http://a", "--shards.http-config.file=" + wrong}, {"--shard=0=http://a", "--web.listen-address=nowhere"},
	} {
		cmd := hubquery(t.Context(), args...)
		var said strings.Builder
		cmd.Stderr = &said
		var exit *exec.ExitError
		require.ErrorAs(t, cmd.Run(), &exit, args)
		assert.Equal(t, 1, exit.ExitCode(), args)
		assert.Contains(t, said.String(), "hubquery failed")
	}
}

// certificate writes a certificate for 127.0.0.1 that vouches for itself, and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalECPrivateKey(private)
	require.NoError(t, err)
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	require.NoError(t, os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600))
	return cert, key
}

// guarded is a server behind TLS and a password.
func guarded(t *testing.T, s *servertest.Server, cert, key string) string {
	t.Helper()
	target, err := url.Parse(s.URL)
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "hubquery" || password != "sesame" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	pair, err := tls.LoadX509KeyPair(cert, key)
	require.NoError(t, err)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

// process is hubquery, until the test ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // what it logs; closed when it ended
	ended error       // once lines is closed
}

func begin(t *testing.T, args ...string) *process {
	t.Helper()
	cmd := hubquery(t.Context(), args...)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{t: t, cmd: cmd, lines: make(chan string, 10_000)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(log); lines.Scan(); {
			p.lines <- lines.Text()
		}
		p.ended = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		for range p.lines {
		}
	})
	return p
}

// await returns what a pattern's group matches in the log from here on.
func (p *process) await(pattern string) string {
	p.t.Helper()
	wanted, timeout := regexp.MustCompile(pattern), time.After(patience)
	var said strings.Builder
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				require.Failf(p.t, "ended", "%v before it logged %s:\n%s", p.ended, pattern, &said)
			}
			said.WriteString(line + "\n")
			if m := wanted.FindStringSubmatch(line); m != nil {
				return m[len(m)-1]
			}
		case <-timeout:
			require.Failf(p.t, "not logged", "%s in:\n%s", pattern, &said)
		}
	}
}

// gone waits until it has ended, and returns how.
func (p *process) gone() error {
	p.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case _, ok := <-p.lines:
			if !ok {
				return p.ended
			}
		case <-timeout:
			require.Fail(p.t, "did not stop")
		}
	}
}

// All of it once, with TLS and passwords on both sides: it answers, finds other shards, and when it is told to stop, the
// query that runs still gets its answer.
func TestItServesAndStops(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	write := func(name, format string, args ...any) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, format, args...), 0o600))
		return path
	}
	var servers []*servertest.Server
	var urls []string
	for i := range 2 {
		s := servertest.New(t, nil)
		s.Add([]servertest.Sample{{T: 1000, V: float64(i + 1)}}, "__name__", "load", "gatewayID", fmt.Sprint("gw-", i))
		servers = append(servers, s)
		urls = append(urls, guarded(t, s, cert, key))
	}
	p := begin(t, "--web.listen-address=127.0.0.1:0", "--log.level=debug",
		// The password is "open".
		"--web.config.file="+write("web.yml", "tls_server_config: {cert_file: %s, key_file: %s}\nbasic_auth_users: {me: \"$2a$04$3wTZLOxygMIe/SsIliyHPOoWCOTv5xFaPKxpaubM2WbZljdVyVjf2\"}\n", cert, key),
		"--shards.http-config.file="+write("http.yml", "basic_auth: {username: hubquery, password: sesame}\ntls_config: {ca_file: %s}\n", cert),
		"--shards.file="+write("shards.yml", "shards: [{name: a, servers: [%q]}]\n", urls[0]))
	address := p.await(`msg="Listening on" address=(\S+)`)
	p.await("TLS is enabled")

	authority, err := os.ReadFile(cert)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(authority))
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	get := func(path, password string) (int, string) {
		req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://"+address+path, nil)
		if !assert.NoError(t, err) {
			return 0, ""
		}
		req.SetBasicAuth("me", password)
		resp, err := client.Do(req)
		if !assert.NoError(t, err) {
			return 0, ""
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		assert.NoError(t, err)
		return resp.StatusCode, string(body)
	}
	const query = "/api/v1/query?query=sum(load)&time=1"
	code, _ := get(query, "close")
	assert.Equal(t, http.StatusUnauthorized, code)
	code, body := get(query, "open")
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, body, `[1,"1"]`)
	code, _ = get("/-/ready", "open")
	assert.Equal(t, http.StatusOK, code)
	code, body = get("/api/v1/status/flags", "open")
	assert.Equal(t, http.StatusOK, code)
	assert.Contains(t, body, `"log.level":"debug"`)
	assert.NotContains(t, body, "sesame")

	write("shards.yml", "shards: [")
	p.await("the file of shards is wrong, those from before stay")
	_, body = get("/metrics", "open")
	assert.Contains(t, body, "hubquery_shards_file_good 0")
	writtenDown(t, body)
	write("shards.yml", "shards: [{name: a, servers: [%q]}, {name: b, servers: [%q]}]\n", urls[0], urls[1])
	p.await("other shards")
	_, body = get(query, "open")
	assert.Contains(t, body, `[1,"3"]`)

	asked, answer := make(chan struct{}), make(chan struct{})
	servers[0].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/api/v1/query" {
			asked <- struct{}{}
			<-answer
		}
		return false
	})
	last := make(chan string, 1)
	go func() { _, body := get(query, "open"); last <- body }()
	<-asked
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.await("hubquery stops")
	servers[0].Intercept(nil)
	close(answer)
	assert.Contains(t, <-last, `[1,"3"]`)
	require.NoError(t, p.gone())
}

// A query that takes longer than the time for stopping is cut off, and the process ends.
func TestItStopsInTime(t *testing.T) {
	s := servertest.New(t, nil)
	asked, cut := make(chan struct{}, 1), make(chan struct{}, 1)
	s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/v1/query" {
			return false
		}
		assert.NoError(t, r.ParseForm())
		asked <- struct{}{}
		<-r.Context().Done()
		cut <- struct{}{}
		return true
	})
	p := begin(t, "--web.listen-address=127.0.0.1:0", "--shard=0="+s.URL, "--web.stop-timeout=100ms", "--web.enable-pprof")
	address := p.await(`msg="Listening on" address=(\S+)`)
	resp, err := http.Get("http://" + address + "/debug/pprof/goroutine?debug=1")
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	failed := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + address + "/api/v1/query?query=up")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-asked
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	p.await("queries were cut off")
	require.Error(t, <-failed)
	<-cut
	require.NoError(t, p.gone())
}
