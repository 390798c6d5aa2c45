package main

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
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

func TestDefaultsAreTheLibrarys(t *testing.T) {
	o := parse(nil)
	assert.Equal(t, edgehub.DefaultConfig(), o.hub)
	assert.Equal(t, []string{":9091"}, *o.web.WebListenAddresses)
}

func TestFlags(t *testing.T) {
	o := parse([]string{"--limit.samples=5", "--scrape.cursor=a", "--scrape.cursor=b", "--scrape.max-age=30m", "--log.level=debug"})
	assert.Equal(t, 5, o.hub.MaxSamples)
	assert.Equal(t, []string{"a", "b"}, o.hub.Cursors)
	assert.Equal(t, 30*time.Minute, o.hub.MaxAge)
	assert.Equal(t, "debug", o.log.Level.String())
}

func TestHelpVersionAndMistakes(t *testing.T) {
	out, err := edgehubCommand("--help").Output()
	require.NoError(t, err)
	for _, flag := range []string{"--web.listen-address", "--web.config.file", "--limit.samples=4000000", "--log.level", "--log.format", "version"} {
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

	out, err = edgehubCommand("--limit.samples=-1").CombinedOutput()
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 1, exit.ExitCode())
	assert.Contains(t, string(out), "MaxSamples is -1, it must not be negative")

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

// A push that is under way when the hub is told to stop is finished and answered.
func TestStopFinishesWhatIsUnderWay(t *testing.T) {
	log := &logged{written: make(chan struct{}, 1)}
	o := parse([]string{"--web.listen-address=127.0.0.1:0"})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, slog.New(slog.NewTextHandler(log, nil))) }()
	address := log.await(t, `msg="Listening on" address=(\S+)`)

	body, write := io.Pipe()
	type result struct {
		status int
		err    error
	}
	answered := make(chan result, 1)
	go func() {
		r, err := http.Post("http://"+address+"/metrics", "text/plain", body)
		if err != nil {
			answered <- result{err: err}
			return
		}
		r.Body.Close()
		answered <- result{status: r.StatusCode}
	}()
	_, err := io.Copy(write, strings.NewReader("x 1\n")) // returns once the client has read it
	require.NoError(t, err)
	// The hub has the request when its body is being read.
	require.Eventually(t, func() bool { return underWay(t, address) }, 20*time.Second, 5*time.Millisecond)
	stop()
	log.await(t, `(stopping; pushes and scrapes under way may finish)`)
	_, err = io.WriteString(write, "x 2\n")
	require.NoError(t, err)
	require.NoError(t, write.Close())

	got := <-answered
	require.NoError(t, got.err)
	assert.Equal(t, http.StatusOK, got.status)
	require.NoError(t, <-ended)
	assert.Contains(t, log.String(), `msg="stopped with samples that no scrape had taken; they are gone" samples=2 series=1`)
}

// underWay says whether the hub at an address is reading a push.
func underWay(t *testing.T, address string) bool {
	t.Helper()
	r, err := http.Get("http://" + address + "/internal")
	require.NoError(t, err)
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return strings.Contains(string(text), "\nedgehub_pushes_in_flight 1\n")
}
