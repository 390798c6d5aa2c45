package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
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
	"go.uber.org/goleak"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/check"
)

const patience = time.Minute

// TestMain lets the test binary be rulekeeper itself.
func TestMain(m *testing.M) {
	if os.Getenv("BE_RULEKEEPER") != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

func rulekeeper(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_RULEKEEPER=1")
	return cmd
}

// process is a program that runs until the test ends.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // what it logs; closed when it ended
	ended error       // once lines is closed
}

// begin starts a program and reads its log.
func begin(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{t: t, cmd: cmd, lines: make(chan string, 10000)}
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

// await returns what a pattern's first group matches in the log from here on.
func (p *process) await(pattern string) string {
	p.t.Helper()
	wanted := regexp.MustCompile(pattern)
	timeout := time.After(patience)
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

// stop ends the process as Kubernetes does and returns how it went.
func (p *process) stop() error {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
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

// get returns a page's text.
func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(text)
}

// put writes a file that nobody takes for one that is still being written.
func put(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-time.Minute)))
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"--rules=/a/*.yaml", "--rules=/b/*.yaml", "--to=/c"})
	require.NoError(t, err)
	assert.Equal(t, []string{"/a/*.yaml", "/b/*.yaml"}, o.rules)
	assert.Equal(t, "http://localhost:10902/-/reload", o.reload)
	assert.Equal(t, 30*time.Second, o.interval)
	assert.Equal(t, check.Warn, o.check.Partial)
	assert.Equal(t, []string{":10903"}, *o.web.WebListenAddresses)
	assert.False(t, o.once || o.check.Experimental)
	o, err = parse([]string{"--rules=a", "--to=b", "--once", "--partial-response=keep", "--enable-feature=promql-experimental-functions", "--log.level=debug"})
	require.NoError(t, err)
	assert.Equal(t, check.Keep, o.check.Partial)
	assert.True(t, o.once && o.check.Experimental)

	refused := func(text string, args ...string) {
		t.Helper()
		_, err := parse(args)
		assert.ErrorContains(t, err, text)
	}
	refused("required flag", "--rules=a")
	refused("required flag", "--to=a")
	refused("warn,abort,keep", "--rules=a", "--to=b", "--partial-response=none")
	refused("--interval is 0s", "--rules=a", "--to=b", "--interval=0s")
	refused("--limit is not above 0", "--rules=a", "--to=b", "--limit.files=0")
}

func TestHelpVersionAndMistakes(t *testing.T) {
	out, err := rulekeeper(t.Context(), "--help").Output()
	require.NoError(t, err)
	for _, flag := range []string{"--rules=GLOB", "--to=DIR", "--reload-url=", "--interval=30s", "--[no-]once", "--partial-response=warn", "--web.listen-address", "--web.config.file", "--log.level", "--log.format", "--limit.files=1000"} {
		assert.Contains(t, string(out), flag)
	}
	out, err = rulekeeper(t.Context(), "--version").CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "rulekeeper, version")

	f := func(code int, text string, args ...string) {
		t.Helper()
		out, err := rulekeeper(t.Context(), args...).CombinedOutput()
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, "%s", out)
		assert.Equal(t, code, exit.ExitCode())
		assert.Contains(t, string(out), text)
	}
	dir := t.TempDir()
	f(2, "unknown long flag '--rule'; try --help", "--rule=x")
	f(1, "read the pattern", "--rules=[", "--to="+dir)
	f(1, "read the reload URL", "--rules=x", "--to="+dir, "--reload-url=x")
	f(1, "serve: ", "--rules=x", "--to="+dir, "--web.listen-address=127.0.0.1:none")
	// An init container fails if it cannot write, and for no other reason.
	put(t, "groups: []", dir, "good.yaml")
	put(t, "bad", dir, "bad.yaml")
	put(t, "", dir, "file")
	f(1, "make the folder of published rules", "--once", "--rules="+dir+"/*.yaml", "--to="+dir+"/file/x")
	out, err = rulekeeper(t.Context(), "--once", "--rules="+dir+"/*.yaml", "--to="+dir+"/to").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), dir+"/bad.yaml:1: cannot unmarshal")
	published, err := filepath.Glob(dir + "/to/current/*.yaml")
	require.NoError(t, err)
	assert.Len(t, published, 1)
}

func TestItServesAndStops(t *testing.T) {
	dir := t.TempDir()
	put(t, "groups: [{name: g}]", dir, "rules.yaml")
	k := begin(t, rulekeeper(t.Context(), "--rules="+dir+"/*.yaml", "--to="+dir+"/to", "--reload-url=http://127.0.0.1:1/", "--web.listen-address=127.0.0.1:0"))
	at := "http://" + k.await(`msg="Listening on" address=(\S+)`)
	require.Eventually(t, func() bool { return strings.Contains(get(t, at+"/-/ready"), "is ready") }, patience, 10*time.Millisecond)
	metrics := get(t, at+"/metrics")
	for _, line := range []string{
		"hubring_rules_last_load_successful 0", "hubring_rules_last_load_success_timestamp_seconds 0", "hubring_rules_files 1", "hubring_rules_groups 1",
		`hubring_rules_refused_total{reason="ruler"} 0`, "rulekeeper_build_info",
	} {
		assert.Contains(t, metrics, "\n"+line)
	}
	assert.Contains(t, get(t, at+"/"), "published: true, 1 files, 1 groups")
	assert.Contains(t, get(t, at+"/-/healthy"), "is healthy")
	assert.NoError(t, k.stop())
}
