package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets the test binary be edgehub itself, for what ends a process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_EDGEHUB") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func edgehubCommand(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_EDGEHUB=1")
	return cmd
}

func TestHelpVersionAndMistakes(t *testing.T) {
	out, err := edgehubCommand("--help").Output()
	require.NoError(t, err)
	for _, flag := range []string{"--web.listen-address", "--web.config.file", "--limit.samples=4000000", "--limit.connections=1024", "--[no-]web.enable-pprof", "--[no-]gateway.first-samples", "--gateway.ends-after=3", "--[no-]web.systemd-socket", "--scrape.server=[NAME=]URL ...", "--scrape.listen-address=ADDRESS ...", "--scrape.max-bytes=0", "--log.level", "--log.format", "version"} {
		assert.Contains(t, string(out), flag)
	}
	out, err = edgehubCommand("--version").CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "edgehub, version")

	out, err = edgehubCommand("--limit.sample=1").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Contains(t, string(out), "unknown long flag '--limit.sample'; try --help")

	out, err = edgehubCommand("--limit.samples=0").CombinedOutput()
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Contains(t, string(out), "edgehub: --limit.samples is 0, it must be more than 0; leave it out for 4000000; try --help")

	out, err = edgehubCommand("--web.listen-address=127.0.0.1:none").CombinedOutput()
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "edgehub failed")
}

// logged is a log that a test can wait on.
type logged struct {
	mu      sync.Mutex
	text    bytes.Buffer
	written chan struct{}
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	select {
	case l.written <- struct{}{}:
	default:
	}
	return len(b), nil
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await returns what a pattern's first group matches, once it does.
func (l *logged) await(t *testing.T, pattern string) string {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(l.String()); m != nil {
			return m[1]
		}
		select {
		case <-l.written:
		case <-timeout:
			require.Failf(t, "not logged in time", "%s in:\n%s", pattern, l)
		}
	}
}

// running is a hub that serves until the test ends.
type running struct {
	log     *logged
	address string
	stop    context.CancelFunc
	reload  chan os.Signal
	ended   chan error
}

// scrapeAddress is that of the second port.
func (r *running) scrapeAddress(t *testing.T) string {
	t.Helper()
	return r.log.await(t, `msg="Listening on" door=scrape address=(\S+)`)
}

func start(t *testing.T, args ...string) *running {
	t.Helper()
	o, err := parse(append(args, "--web.listen-address=127.0.0.1:0", "--no-gateway.first-samples"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	r := &running{log: &logged{written: make(chan struct{}, 1)}, stop: stop, ended: make(chan error, 1)}
	r.reload = make(chan os.Signal, 1)
	go func() {
		r.ended <- run(told{ctx, t.Context(), r.reload}, o, slog.New(slog.NewTextHandler(r.log, nil)))
	}()
	r.address = r.log.await(t, `msg="Listening on" address=(\S+)`)
	return r
}

// A push that is under way when the hub is told to stop is finished and answered.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	hub := start(t)

	body, write := io.Pipe()
	type result struct {
		status int
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		r, err := http.Post("http://"+hub.address+"/metrics", "text/plain", body)
		if err != nil {
			answered <- result{err: err}
			return
		}
		r.Body.Close()
		answered <- result{status: r.StatusCode}
	}()
	_, err := io.Copy(write, strings.NewReader("x 1\n")) // returns once the client has read it
	require.NoError(t, err)
	// The hub has the request when the connection is a sender's.
	require.Eventually(t, func() bool { return underWay(t, hub.address) }, 20*time.Second, 5*time.Millisecond)
	hub.stop()
	hub.log.await(t, `(waiting for a scrape of what was pushed.* pushes_under_way=1)`)
	_, err = io.WriteString(write, "x 2\n")
	require.NoError(t, err)
	require.NoError(t, write.Close())

	got := <-answered
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusOK, got.status)
	assert.Regexp(t, `^x 2 \d+\n$`, scrape(t, hub.address))
	require.NoError(t, <-hub.ended)
	assert.Contains(t, hub.log.String(), "every sample was scraped")
}

// scrape does what a Prometheus does, once.
func scrape(t *testing.T, address string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/metrics", nil)
	require.NoError(t, err)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return string(text)
}

// process is an edgehub of its own, so that signals reach it.
type process struct {
	*exec.Cmd
	log     *logged
	address string
}

// startProcess starts one that holds a sample.
func startProcess(t *testing.T, args ...string) *process {
	t.Helper()
	p := launch(t, args...)
	answer, err := http.Post("http://"+p.address+"/metrics", "text/plain", strings.NewReader("x 1\n"))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, http.StatusOK, answer.StatusCode)
	return p
}

// launch starts one.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{Cmd: edgehubCommand(append(args, "--web.listen-address=127.0.0.1:0", "--no-gateway.first-samples")...), log: &logged{written: make(chan struct{}, 1)}}
	p.Stdout, p.Stderr = p.log, p.log
	require.NoError(t, p.Start())
	t.Cleanup(func() { _ = p.Process.Kill() }) // it has ended, unless the test failed
	p.address = p.log.await(t, `msg="Listening on" address=(\S+)`)
	return p
}

// requireStatus waits for the process and requires that it ends with a status.
func (p *process) requireStatus(t *testing.T, status int) {
	t.Helper()
	_ = p.Wait() // an error for every status but 0
	require.Equal(t, status, p.ProcessState.ExitCode(), p.log)
}

func (p *process) tell(t *testing.T, signal os.Signal) {
	t.Helper()
	require.NoError(t, p.Process.Signal(signal))
}

// After SIGTERM the hub refuses pushes, gives the next scrape what it has, and ends.
func TestSIGTERMWaitsForAScrape(t *testing.T) {
	hub := startProcess(t)
	hub.tell(t, syscall.SIGTERM)
	hub.log.await(t, `(waiting for a scrape of what was pushed.* samples=1 .*last_scrape=never up_to=1m13s)`)
	answer, err := http.Post("http://"+hub.address+"/metrics", "text/plain", strings.NewReader("x 2\n"))
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "stopping", answer.Header.Get("Hubring-Reason"))
	assert.Regexp(t, `^x 1 \d+\n$`, scrape(t, hub.address))
	require.NoError(t, hub.Wait())
	assert.Contains(t, hub.log.String(), "every sample was scraped")
	assert.NotContains(t, hub.log.String(), "level=WARN")
}

// Whoever is in a hurry says it twice.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	hub := startProcess(t)
	hub.tell(t, os.Interrupt)
	hub.log.await(t, `(once more to stop at once" timeout=1m15s)`)
	hub.log.await(t, `(waiting for a scrape)`)
	hub.tell(t, os.Interrupt)
	hub.requireStatus(t, 1)
	assert.Contains(t, hub.log.String(), `1 samples wait for a scrape, 0 pushes are under way: told a second time to stop`)
	assert.Contains(t, hub.log.String(), `msg="stopped with samples that no scraper is known to have; they are gone" samples=1 series=1`)
}

// A hub whose one server of a pair is dead says that the other one has what it takes along.
func TestStopWithADeadServerOfAPair(t *testing.T) {
	hub := startProcess(t, "--scrape.cursor=a", "--scrape.cursor=b", "--web.stop-timeout=1s")
	answer, err := http.Get("http://" + hub.address + "/metrics?drain=1&cursor=a")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	http.DefaultClient.CloseIdleConnections() // the end of it confirms what was read
	hub.tell(t, syscall.SIGTERM)
	require.NoError(t, hub.Wait())
	assert.Contains(t, hub.log.String(), `msg="stopped with samples that not every scraper had taken; another one has them" samples=1`)
	assert.NotContains(t, hub.log.String(), "they are gone")
}

func TestStopHasAnEnd(t *testing.T) {
	hub := startProcess(t, "--web.stop-timeout=50ms")
	hub.tell(t, syscall.SIGTERM)
	hub.requireStatus(t, 1)
	assert.Contains(t, hub.log.String(), "they are gone\" samples=1 series=1")
	assert.NotContains(t, hub.log.String(), "edgehub failed")
}

// What was handed over and may not have arrived may be lost as well.
func TestStopWithAScraperThatDoesNotRead(t *testing.T) {
	hub := startProcess(t, "--web.stop-timeout=500ms")
	conn, err := net.Dial("tcp", hub.address)
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /metrics HTTP/1.1\r\nHost: hub\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n")
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1)) // the hub has answered, and this end stays open
	require.NoError(t, err)
	hub.tell(t, syscall.SIGTERM)
	hub.requireStatus(t, 1)
	assert.Contains(t, hub.log.String(), `1 were handed over and are not known to have arrived`)
	assert.Contains(t, hub.log.String(), `msg="stopped with samples that no scraper is known to have; they are gone" samples=1`)
}

// SIGHUP is not the end of a hub, also while it stops.
func TestSIGHUP(t *testing.T) {
	config := filepath.Join(t.TempDir(), "web.yml")
	require.NoError(t, os.WriteFile(config, nil, 0o600))
	hub := startProcess(t, "--web.config.file="+config)
	hub.tell(t, syscall.SIGHUP)
	hub.log.await(t, `(level=INFO .* msg="reloaded the files that can be read again; flags and samples are as before")`)
	require.NoError(t, os.WriteFile(config, []byte("basic_auth_user: {}\n"), 0o600))
	hub.tell(t, syscall.SIGHUP)
	hub.log.await(t, `(level=ERROR .* msg="told to reload; requests fail until the web config file is right" file=\S+web.yml error=.*basic_auth_user)`)
	require.NoError(t, os.WriteFile(config, nil, 0o600))
	hub.tell(t, syscall.SIGTERM)
	hub.log.await(t, `(waiting for a scrape)`)
	hub.tell(t, syscall.SIGHUP)
	hub.log.await(t, `(?s)(reloaded the files.*waiting for a scrape.*reloaded the files)`)
	assert.Regexp(t, `^x 1 \d+\n$`, scrape(t, hub.address))
	hub.requireStatus(t, 0)
}

// underWay says whether the hub at an address has a sender.
func underWay(t *testing.T, address string) bool {
	t.Helper()
	r, err := http.Get("http://" + address + "/internal")
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return strings.Contains(string(text), "\nedgehub_connections 1\n")
}
