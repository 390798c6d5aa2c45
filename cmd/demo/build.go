package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	progressEvery = 4 * time.Second
	killAfter     = 5 * time.Second // of an interrupted go command that hangs
)

// build compiles the module in source into binary and says how it gets on. An
// error contains what the compiler said.
func build(ctx context.Context, source, binary string) error {
	fmt.Fprintln(os.Stderr, "building the demo (it contains Prometheus' own scrape, TSDB and PromQL packages):"+
		" about two minutes the first time, seconds after that")
	// The module stands alone: the workspace's other modules would only add
	// downloads. Stamping the revision would link anew after every commit.
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = killAfter

	said := &output{}
	cmd.Stderr = said
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the go command: %w", err)
	}
	finished := make(chan error, 1)
	go func() { finished <- cmd.Wait() }()

	ticker := time.NewTicker(progressEvery)
	defer ticker.Stop()
	for {
		select {
		case err := <-finished:
			if err != nil {
				return fmt.Errorf("building the demo failed: %w\n%s", err, said.rest())
			}
			fmt.Fprintf(os.Stderr, "built in %.0f s\n", time.Since(started).Seconds())
			return nil
		case <-ticker.C:
			fmt.Fprintf(os.Stderr, "  %3.0f s: %s\n", time.Since(started).Seconds(), said.progress())
		}
	}
}

// output reads what `go build -v` writes to its standard error: a line for each
// module that it downloads and each package that it compiles, and errors.
type output struct {
	mu         sync.Mutex
	unfinished string // the start of a line whose end has not come yet
	downloads  int
	packages   int
	other      strings.Builder
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	lines := bufio.NewReader(io.MultiReader(strings.NewReader(o.unfinished), strings.NewReader(string(p))))
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			o.unfinished = line
			return len(p), nil
		}
		o.take(line)
	}
}

func (o *output) take(line string) {
	text := strings.TrimSpace(line)
	switch {
	case strings.HasPrefix(text, "go: downloading "):
		o.downloads++
	case text != "" && !strings.ContainsAny(text, " :"):
		o.packages++
	default:
		o.other.WriteString(line)
	}
}

func (o *output) progress() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.packages > 0 && o.downloads > 0:
		return fmt.Sprintf("%d modules downloaded, %d packages compiled", o.downloads, o.packages)
	case o.packages > 0:
		return fmt.Sprintf("%d packages compiled", o.packages)
	case o.downloads > 0:
		return fmt.Sprintf("%d modules downloaded", o.downloads)
	}
	return "looking at what there is to do"
}

// rest is everything that was not progress: the errors.
func (o *output) rest() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.other.String() + o.unfinished
}
