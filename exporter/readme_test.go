package exporter_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// controller is the program around the README's lines: a gateway reports 0, 1, 2 and so on
// until ctx ends, and the program says how many reports that were.
const controller = `package main

import (
	"context"
	"fmt"
	"iter"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

func received(ctx context.Context) iter.Seq[*dto.MetricFamily] {
	return func(yield func(*dto.MetricFamily) bool) {
		name, n := "reports", 0
		for ; ctx.Err() == nil; n++ {
			value := float64(n)
			yield(&dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}}}})
			time.Sleep(time.Millisecond)
		}
		fmt.Print(n)
	}
}

func main() {
%s
}
`

// readmeBlock returns the Go lines under the README's heading "Embed it".
func readmeBlock(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)## Embed it\n\n```go\n(.*?)```").FindSubmatch(readme)
	require.NotNil(t, block, "no Go block under \"## Embed it\"")
	return strings.TrimSpace(string(block[1]))
}

// The README's lines are those of Example.
func TestReadmeShowsTheExample(t *testing.T) {
	source, err := os.ReadFile("example_test.go")
	require.NoError(t, err)
	indented := regexp.MustCompile(`(?m)^(.+)$`).ReplaceAllString(readmeBlock(t), "\t$1")
	assert.Contains(t, string(source), indented)
}

// Who puts the README's lines into a module of his own loses nothing when it is stopped.
func TestReadmeLosesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	source := fmt.Sprintf(controller, readmeBlock(t))
	var hubs []*exportertest.Hub
	for i := range 2 {
		hub := exportertest.NewHub()
		server := httptest.NewServer(hub)
		defer server.Close()
		defer hub.Close()
		hubs = append(hubs, hub)
		named := fmt.Sprintf("http://edgehub-%d:9091", i)
		require.Contains(t, source, named)
		source = strings.Replace(source, named, server.URL, 1)
	}
	program := buildFresh(ctx, t, source)

	var told, logged bytes.Buffer
	run := exec.CommandContext(ctx, program)
	run.Stdout, run.Stderr = &told, &logged
	require.NoError(t, run.Start())
	arrived := make(chan error, len(hubs))
	waiting, found := context.WithCancel(ctx)
	for _, hub := range hubs { // one of them is the gateway's home
		go func() { arrived <- hub.Wait(waiting, 50) }()
	}
	assert.NoError(t, <-arrived)
	found()
	assert.Error(t, <-arrived, "the gateway has one home")
	require.NoError(t, run.Process.Signal(syscall.SIGTERM))
	require.NoError(t, run.Wait(), logged.String())
	assert.Empty(t, logged.String())

	sent, err := strconv.Atoi(told.String())
	require.NoError(t, err)
	var want, got []float64
	for n := range sent {
		want = append(want, float64(n))
	}
	for _, hub := range hubs {
		for _, s := range hub.Samples() {
			got = append(got, s.Value)
		}
	}
	slices.Sort(got)
	assert.Equal(t, want, got)
}

// buildFresh builds a program in a module of its own that requires this one. It
// asks nobody for modules: those that this one has are all that it needs.
func buildFresh(ctx context.Context, t *testing.T, source string) (program string) {
	t.Helper()
	checkout, err := filepath.Abs("..")
	require.NoError(t, err)
	dir := t.TempDir()
	ours, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	_, requirements, _ := strings.Cut(string(ours), "\n")
	sums, err := os.ReadFile("../go.sum")
	require.NoError(t, err)
	for name, text := range map[string]string{
		"main.go": source,
		"go.sum":  string(sums),
		"go.mod": "module example.com/controller\n" + requirements +
			"\nrequire github.com/hubring/hubring v0.0.0\nreplace github.com/hubring/hubring => " + checkout + "\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	program = filepath.Join(dir, "controller")
	build := exec.CommandContext(ctx, "go", "build", "-mod=mod", "-o", program, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOWORK=off", "GOPROXY=off", "GOFLAGS=-buildvcs=false")
	output, err := build.CombinedOutput()
	require.NoError(t, err, string(output))
	return program
}
