package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/promslog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/internal/logtest"
)

// The test binary is the program, too.
func TestMain(m *testing.M) {
	if os.Getenv("BE_EXPORTER") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// started is a process, whose output is in log.
func started(t *testing.T, log *logtest.Buffer, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "BE_EXPORTER=1")
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	return cmd
}

func TestHelpVersionAndMistakes(t *testing.T) {
	f := func(status int, want string, args ...string) {
		t.Helper()
		var log logtest.Buffer
		cmd := started(t, &log, args...)
		_ = cmd.Wait()
		assert.Equal(t, status, cmd.ProcessState.ExitCode(), "%s", &log)
		assert.Contains(t, log.String(), want)
	}
	f(0, "--[no-]web.enable-lifecycle", "--help")
	f(0, "hubring_exporter, version", "--version")
	f(2, "exporter: required flag(s) '--config.file' not provided; try --help")
	f(2, "unknown long flag", "--config.file=x", "--config")
	f(1, "exporter: config file /nowhere: open /nowhere: no such file or directory", "--config.file=/nowhere", "--check-config")
	f(1, "config file /nowhere: open", "--config.file=/nowhere")
}

// A stop waits for what is queued, and a second signal ends that at once.
func TestSecondSignalStopsAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter.yml")
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: 'http://127.0.0.1:1'}]\nsend: {flush_timeout: 1h}\n"), 0o600))
	var log logtest.Buffer
	cmd := started(t, &log, "--config.file="+path, "--web.listen-address=127.0.0.1:0", "--web.stop-timeout=1h")
	says := func(text string) {
		t.Helper()
		require.Eventually(t, func() bool { return log.Count(text) > 0 }, 10*time.Second, time.Millisecond, "%s", &log)
	}
	says(`msg="Listening on"`)
	resp, err := http.Post("http://"+listens.FindStringSubmatch(log.String())[1]+"/metrics", "", strings.NewReader("x 1\n"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	says("once more to stop at once")
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, cmd.Wait())
	assert.Equal(t, syscall.SIGTERM, cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
}

func TestFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"":                                       "'--config.file' not provided",
		"--config.file=x --web.stop-timeout=-1s": "must not be negative",
		"--config.file=x --web.config.file=/nowhere": "--web.config.file /nowhere",
		"--config.file=x --unknown":                  "unknown",
	} {
		_, err := parse(strings.Fields(flags))
		require.ErrorContains(t, err, want, flags)
	}
	o, err := parse([]string{"--config.file=x", "--check-config"})
	require.NoError(t, err)
	assert.Equal(t, 30*time.Second, o.stopTimeout)
	assert.True(t, o.check)
}

func TestCheckConfig(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter.yml")
	assert.Equal(t, 1, check(path))
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: 'http://edgehub-0:9091'}]"), 0o600))
	assert.Zero(t, check(path))
}

// program runs the process' own function, until stop is called.
type program struct {
	log    logtest.Buffer
	reload chan os.Signal
	stop   func()
	ended  chan error
	url    string
}

var listens = regexp.MustCompile(`msg="Listening on" address=(\S+)`)

func start(t *testing.T, configFile string, flags ...string) *program {
	t.Helper()
	p := &program{reload: make(chan os.Signal), ended: make(chan error, 1)}
	o, err := parse(append(flags, "--config.file="+configFile, "--web.listen-address=127.0.0.1:0", "--web.stop-timeout=10s"))
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	p.stop = stop
	o.log = &promslog.Config{Writer: &p.log}
	logger := promslog.New(o.log)
	go func() { p.ended <- run(ctx, stop, p.reload, o, logger) }()
	require.Eventually(t, func() bool {
		found := listens.FindStringSubmatch(p.log.String())
		if found != nil {
			p.url = "http://" + found[1]
		}
		return found != nil
	}, 10*time.Second, time.Millisecond, "%s", &p.log)
	return p
}

// says waits until the log has a text.
func (p *program) says(t *testing.T, text string) {
	t.Helper()
	require.Eventually(t, func() bool { return p.log.Count(text) > 0 }, 10*time.Second, time.Millisecond, "%s", &p.log)
}

// What was pushed is delivered before the process ends, by the config that counts then.
func TestRunUntilStopped(t *testing.T) {
	hub, err := edgehub.New(edgehub.Config{NoFirstSamples: true})
	require.NoError(t, err)
	defer hub.Close(t.Context())
	s := httptest.NewServer(hub.Handler())
	defer s.Close()
	path := filepath.Join(t.TempDir(), "exporter.yml")
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: '"+s.URL+"'}]\nsend: {batch_wait: 1h}\n"), 0o600))
	p := start(t, path)
	push := func(text string) {
		t.Helper()
		resp, err := http.Post(p.url+"/metrics", "", strings.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	push("before{gatewayID=\"a\"} 1\n")
	require.NoError(t, os.WriteFile(path, []byte("hubs: ["), 0o600))
	p.reload <- syscall.SIGHUP
	p.says(t, "all is as before")
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: '"+s.URL+"'}]\nlabels: {after: reload}\n"), 0o600))
	p.reload <- syscall.SIGHUP
	p.says(t, `msg="read the config file again"`)
	push("after{gatewayID=\"a\"} 1\n")
	p.stop()
	require.NoError(t, <-p.ended)
	have := map[string]bool{}
	for series := range hub.Pending() {
		have[series] = true
	}
	assert.Equal(t, map[string]bool{`before{gatewayID="a"}`: true, `after{after="reload",gatewayID="a"}`: true}, have)
}

// A stop that loses samples is an error, and so is a port that is taken.
func TestRunFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "exporter.yml")
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: 'http://127.0.0.1:1'}]\nsend: {flush_timeout: 100ms}\n"), 0o600))
	p := start(t, path)
	resp, err := http.Post(p.url+"/metrics", "", strings.NewReader("x 1\n"))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	o, err := parse([]string{"--config.file=" + path, "--web.listen-address=" + strings.TrimPrefix(p.url, "http://")})
	require.NoError(t, err)
	require.ErrorContains(t, run(t.Context(), func() {}, nil, o, promslog.NewNopLogger()), "address already in use")
	o, err = parse([]string{"--config.file=" + path, "--web.listen-address=127.0.0.1:0", "--grpc.listen-address=" + strings.TrimPrefix(p.url, "http://")})
	require.NoError(t, err)
	require.ErrorContains(t, run(t.Context(), func() {}, nil, o, promslog.NewNopLogger()), "address already in use")
	p.stop()
	require.ErrorContains(t, <-p.ended, "no hub took")
}

// A kubelet has no password, and who pushes needs one, at each address.
func TestProbesNeedNoPassword(t *testing.T) {
	dir := t.TempDir()
	path, webFile := filepath.Join(dir, "exporter.yml"), filepath.Join(dir, "web.yml")
	require.NoError(t, os.WriteFile(path, []byte("hubs: [{url: 'http://127.0.0.1:1'}]\n"), 0o600))
	require.NoError(t, os.WriteFile(webFile, []byte(`basic_auth_users: {me: "$2a$04$lyyMdQ3B27LhiL84n/C3qeHEl8mN3tEmSCxRkJYVo77YB9FodVLhi"}`), 0o600))
	p := start(t, path, "--web.config.file="+webFile, "--web.listen-address=127.0.0.1:0")
	require.Eventually(t, func() bool { return p.log.Count("Listening on") == 2 }, 10*time.Second, time.Millisecond, "%s", &p.log)
	for _, found := range listens.FindAllStringSubmatch(p.log.String(), -1) {
		for path, want := range map[string]int{"/-/healthy": 200, "/-/ready": 200, "/metrics": 401, "/": 401, "/-/ready/": 401, "/%2D/ready": 401} {
			resp, err := http.Get("http://" + found[1] + path)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, want, resp.StatusCode, path)
		}
	}
	p.stop()
	require.NoError(t, <-p.ended)
}
