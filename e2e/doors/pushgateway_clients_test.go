package doors

import (
	"bufio"
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

// pusher is a client that people have, as its own project ships it.
type pusher struct {
	name   string            // the job of its groups
	spells map[string]string // instances that it sends otherwise than it was told
	fails  map[string]string // instances that it cannot push, and what it says then
	simple bool              // it pushes counters and gauges alone

	// prepare makes what there has to be in a folder, and returns do, which carries out a word for each of some
	// instances: push replaces a group by the metrics that all clients have, add pushes backup_verified to it, and delete
	// deletes it. What comes of each is "ok", or "failed: " and why.
	prepare func(t *testing.T, dir string, hub *url.URL) (do func(t *testing.T, word string, instances []string) []string)
	do      func(t *testing.T, word string, instances []string) []string
	began   time.Time // the last word
}

func newPushers() []*pusher {
	return []*pusher{
		{name: "client_golang", prepare: golang, spells: map[string]string{"a b": "a+b"}},
		{name: "python", prepare: python, spells: map[string]string{"a b": "a+b"}},
		// It escapes nothing.
		{name: "prometheus-cpp", prepare: cpp, fails: map[string]string{"a/b": "400", "/var/tmp": "400", "a b": "-3", "100%": "400", "..": "400"}},
		{name: "ruby", prepare: ruby, simple: true},
		// It shortens the URL.
		{name: "prom-client", prepare: node, fails: map[string]string{"..": "status 400, the path has a label without a value"}},
		{name: "curl", prepare: shell(realbin.Curl)},
		{name: "wget", prepare: shell(realbin.Wget)},
	}
}

func python(t *testing.T, _ string, hub *url.URL) func(*testing.T, string, []string) []string {
	installed(t, realbin.PythonClient)
	return told(installed(t, realbin.Python), source(t, "client.py"), hub.String(), "python")
}

func ruby(t *testing.T, _ string, hub *url.URL) func(*testing.T, string, []string) []string {
	installed(t, realbin.RubyClient)
	return told(installed(t, realbin.Ruby), source(t, "client.rb"), hub.String(), "ruby")
}

func cpp(t *testing.T, dir string, hub *url.URL) func(*testing.T, string, []string) []string {
	installed(t, realbin.PrometheusCPP)
	program := filepath.Join(dir, "client")
	run(t, dir, installed(t, realbin.CXX), "-o", program, source(t, "client.cc"), "-lprometheus-cpp-push", "-lprometheus-cpp-core")
	return told(program, hub.Hostname(), hub.Port(), "prometheus-cpp")
}

func node(t *testing.T, dir string, hub *url.URL) func(*testing.T, string, []string) []string {
	npmClients(t, dir)
	return told("node", filepath.Join(dir, "client.js"), hub.String(), "prom-client")
}

// npmClients puts the clients of npm's libraries, and those, in a folder.
func npmClients(t *testing.T, dir string) {
	t.Helper()
	npm := installed(t, realbin.NPM)
	require.NoError(t, os.CopyFS(dir, os.DirFS(source(t, "npm"))))
	run(t, dir, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
}

func shell(tool string) func(*testing.T, string, *url.URL) func(*testing.T, string, []string) []string {
	return func(t *testing.T, _ string, hub *url.URL) func(*testing.T, string, []string) []string {
		name := filepath.Base(installed(t, tool))
		return told("sh", source(t, "client.sh"), name, hub.String(), name)
	}
}

// told is a program that reads on its standard input what to do, a word, a tab and an instance on each line.
func told(command ...string) func(*testing.T, string, []string) []string {
	return func(t *testing.T, word string, instances []string) []string {
		var lines, complaints strings.Builder
		for _, instance := range instances {
			lines.WriteString(word + "\t" + instance + "\n")
		}
		cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
		cmd.Stdin, cmd.Stderr = strings.NewReader(lines.String()), &complaints
		out, err := cmd.Output()
		require.NoError(t, err, complaints.String())
		var outcomes []string
		for scan := bufio.NewScanner(bytes.NewReader(out)); scan.Scan(); {
			if line := scan.Text(); line == "ok" || strings.HasPrefix(line, "failed: ") { // and libcurl writes the answers' bodies
				outcomes = append(outcomes, line)
			}
		}
		return outcomes
	}
}

// golang pushes with client_golang.
func golang(_ *testing.T, _ string, hub *url.URL) func(*testing.T, string, []string) []string {
	backup, more := prometheus.NewRegistry(), prometheus.NewRegistry()
	rows := prometheus.NewCounter(prometheus.CounterOpts{Name: "backup_rows_total", Help: "Rows."})
	rows.Add(42)
	size := prometheus.NewGauge(prometheus.GaugeOpts{Name: "backup_size_bytes", Help: "Size."})
	size.Set(1.5)
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "backup_seconds", Help: "Time.", Buckets: []float64{1, 10}})
	seconds.Observe(0.5)
	seconds.Observe(5)
	wait := prometheus.NewSummary(prometheus.SummaryOpts{Name: "backup_wait_seconds", Help: "Waiting.", Objectives: map[float64]float64{0.5: 0.05}})
	wait.Observe(2)
	wait.Observe(4)
	backup.MustRegister(rows, size, seconds, wait)
	verified := prometheus.NewGauge(prometheus.GaugeOpts{Name: "backup_verified", Help: "Whether it was read again."})
	verified.Set(7)
	more.MustRegister(verified)
	return func(t *testing.T, word string, instances []string) []string {
		var outcomes []string
		for _, instance := range instances {
			group := push.New(hub.String(), "client_golang").Grouping("instance", instance)
			var err error
			switch word {
			case "push":
				err = group.Gatherer(backup).PushContext(t.Context())
			case "add":
				err = group.Gatherer(more).AddContext(t.Context())
			case "delete":
				err = group.Delete()
			}
			outcome := "ok"
			if err != nil {
				outcome = "failed: " + err.Error()
			}
			outcomes = append(outcomes, outcome)
		}
		return outcomes
	}
}

// installed is the path of what comes from Debian.
func installed(t *testing.T, program string) string {
	t.Helper()
	path, err := realbin.Packaged(t.Context(), program, t.Output())
	require.NoError(t, err, "to install all that these tests need run: go run ./e2e/cmd/realbin packaged")
	return path
}

// source is the path of a client's source.
func source(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", "clients", name))
	require.NoError(t, err)
	return path
}

// run runs a program to its end.
func run(t *testing.T, dir, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s: %s", cmd, out)
}
