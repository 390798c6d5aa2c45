// Command demo builds the demo, which is a module of its own in ./stack, and
// becomes it. It exists because `go run` says nothing while it builds, and the
// first build takes minutes: the demo contains Prometheus' own scrape, TSDB and
// PromQL packages.
//
//	go run ./cmd/demo --for=60s --kill-hub=1
//	go run ./cmd/demo --placement=consistent
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// exitInterrupted is what shells give for a command that Ctrl-C ended.
const exitInterrupted = 130

func main() {
	err := launch()
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo: interrupted while building")
		os.Exit(exitInterrupted)
	}
	fmt.Fprintf(os.Stderr, "demo: %v\n", err)
	os.Exit(1)
}

// launch only returns if something went wrong: it ends by turning this process
// into the demo, so that signals reach it directly.
func launch() error {
	source, err := findSource()
	if err != nil {
		return err
	}
	dir, err := outputDir(source)
	if err != nil {
		return err
	}
	binary := filepath.Join(dir, "demo")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err = build(ctx, source, binary)
	interrupted := ctx.Err()
	stop()
	if interrupted != nil {
		return interrupted
	}
	if err != nil {
		return err
	}
	args := append([]string{binary}, os.Args[1:]...)
	return fmt.Errorf("start %s: %w", binary, syscall.Exec(binary, args, os.Environ()))
}

// findSource looks for the demo's module from the working directory upwards.
func findSource() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("working directory: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		source := filepath.Join(dir, "cmd", "demo", "stack")
		if _, err := os.Stat(filepath.Join(source, "go.mod")); err == nil {
			return source, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not inside a checkout of hubring: change into one and run it again", start)
		}
	}
}

// outputDir is where the binary goes: always the same place, so that a second
// start has nothing to link. A checkout that cannot be written to gets the
// user's cache instead, or else a new temporary directory.
func outputDir(source string) (string, error) {
	places := []string{filepath.Join(source, "bin")}
	if cache, err := os.UserCacheDir(); err == nil {
		places = append(places, filepath.Join(cache, "hubring-demo"))
	}
	for _, dir := range places {
		if writable(dir) {
			return dir, nil
		}
	}
	dir, err := os.MkdirTemp("", "hubring-demo-build-")
	if err != nil {
		return "", fmt.Errorf("no place for the demo's binary: %w", err)
	}
	return dir, nil
}

func writable(dir string) bool {
	if os.MkdirAll(dir, 0o755) != nil {
		return false
	}
	probe, err := os.CreateTemp(dir, ".probe-")
	if err != nil {
		return false
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name())) == nil
}
