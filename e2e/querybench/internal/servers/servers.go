// Package servers runs the programs that are measured, on free loopback ports.
package servers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/e2e/internal/process"
)

const (
	startTimeout = 3 * time.Minute // a server that reads its log first takes seconds
	stopTimeout  = time.Minute
)

// Spec says what to start.
type Spec struct {
	Name  string
	Path  string
	Ports int // addresses to choose
	Args  func(addresses []string) []string
	Ready string // the path that answers 200 when it is ready, on the last address
	// What the program costs counts for the shard of that number, or for none: see the constants.
	Shard int
}

// What does not belong to one shard.
const (
	Merging = -1 // it puts answers of shards together, or answers alone
	Aside   = -2 // it is not asked
)

// Server is a running program.
type Server struct {
	Spec
	Addresses []string
	process   *process.Process
}

// URL is that of a path at the address that was asked whether it is ready.
func (s *Server) URL(path string) string {
	return "http://" + s.Addresses[len(s.Addresses)-1] + path
}

// PID is the program's process ID.
func (s *Server) PID() int { return s.process.PID() }

// Set is a number of programs that end together. Its methods are safe for concurrent use.
type Set struct {
	dir string // for logs and configuration

	mu      sync.Mutex
	servers []*Server
}

// NewSet returns a set without programs, that writes into a folder of its own.
func NewSet(dir string) (*Set, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &Set{dir: dir}, nil
}

// Write makes a file for a program and returns its path.
func (s *Set) Write(name, content string) (string, error) {
	path := filepath.Join(s.dir, name)
	return path, os.WriteFile(path, []byte(content), 0o644)
}

// Dir returns a folder for a program.
func (s *Set) Dir(name string) string { return filepath.Join(s.dir, name) }

// Start starts a program and waits until it is ready. Where another program was faster
// on a port it tries others.
func (s *Set) Start(ctx context.Context, spec Spec) (*Server, error) {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		v, err := s.try(ctx, spec)
		if err == nil || v == nil {
			return v, err
		}
		v.process.Kill()
		if attempt == attempts || !strings.Contains(v.process.Log(), "address already in use") {
			return nil, err
		}
	}
}

func (s *Set) try(ctx context.Context, spec Spec) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	v := &Server{Spec: spec}
	for range spec.Ports {
		address, err := process.FreeAddress()
		if err != nil {
			return nil, err
		}
		v.Addresses = append(v.Addresses, address)
	}
	p, err := process.Start(process.Spec{Name: spec.Name, Path: spec.Path, Args: spec.Args(v.Addresses), LogDir: s.dir})
	if err != nil {
		return nil, err
	}
	v.process = p
	s.mu.Lock()
	s.servers = append(s.servers, v)
	s.mu.Unlock()
	return v, p.WaitHTTP(ctx, v.URL(spec.Ready))
}

// Running are the programs that have not ended.
func (s *Set) Running() []*Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []*Server
	for _, v := range s.servers {
		select {
		case <-v.process.Done():
		default:
			out = append(out, v)
		}
	}
	return out
}

// Log returns the ends of all logs, for the message about a failure.
func (s *Set) Log() string {
	var b strings.Builder
	for _, v := range s.Running() {
		if tail := v.process.LogTail(500); tail != "" {
			fmt.Fprintf(&b, "--- %s:\n%s", v.Name, tail)
		}
	}
	return b.String()
}

// Stop has every program end in order, the ones that were started last first, and
// returns what did not.
func (s *Set) Stop() error {
	running := s.Running()
	var errs []error
	for i := len(running) - 1; i >= 0; i-- {
		if err := running[i].process.Stop(stopTimeout); err != nil {
			errs = append(errs, fmt.Errorf("stop %s: %w", running[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Kill ends every program at once.
func (s *Set) Kill() {
	for _, v := range s.Running() {
		v.process.Kill()
	}
}
