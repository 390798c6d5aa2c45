// Package server starts the programs that the benchmark measures, one process
// each, and asks what they cost.
package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/procstat"
)

const (
	startTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// Spec says what to start.
type Spec struct {
	Name string
	Path string // the binary
	// Args are the arguments for a server that listens on address and may write
	// into dir.
	Args  func(address, dir string) []string
	Ready string // path that answers 200 once the server is ready
}

// Server is a running server. Its methods are safe for concurrent use.
type Server struct {
	Address string // host:port
	process *process.Process
	dir     string
}

// Start starts a server on a free port of the loopback interface and waits until
// it is ready. The caller must Stop it.
func Start(ctx context.Context, spec Spec) (*Server, error) {
	const attempts = 5 // somebody else may be faster on the port
	for attempt := 1; ; attempt++ {
		s, taken, err := start(ctx, spec)
		if err == nil {
			return s, nil
		}
		if !taken || attempt == attempts {
			return nil, err
		}
	}
}

func start(ctx context.Context, spec Spec) (_ *Server, portTaken bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{}
	if s.dir, err = os.MkdirTemp("", "hubring-bench-"); err != nil {
		return nil, false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	defer func() {
		if err != nil {
			s.kill()
		}
	}()
	if s.Address, err = process.FreeAddress(); err != nil {
		return nil, false, err
	}
	data := filepath.Join(s.dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		return nil, false, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	s.process, err = process.Start(process.Spec{
		Name: strings.ReplaceAll(spec.Name, " ", "-"), Path: spec.Path,
		Args: spec.Args(s.Address, data), LogDir: s.dir,
	})
	if err != nil {
		return nil, false, err
	}
	if err := s.process.WaitHTTP(ctx, s.URL(spec.Ready)); err != nil {
		return nil, strings.Contains(s.process.Log(), "address already in use"), err
	}
	return s, false, nil
}

// Stop ends the server and removes what it wrote. One that does not end in time
// is killed.
func (s *Server) Stop() {
	_ = s.process.Stop(stopTimeout) // how it ends is not what is measured
	s.kill()
}

func (s *Server) kill() {
	if s.process != nil {
		s.process.Kill()
	}
	_ = os.RemoveAll(s.dir) // what is left is in the folder for temporary files
}

// URL is that of a path.
func (s *Server) URL(path string) string { return "http://" + s.Address + path }

// Log returns the end of what the server logged.
func (s *Server) Log() string { return s.process.LogTail(2000) }

// PID is the server's process ID.
func (s *Server) PID() int { return s.process.PID() }

// CPU is the processor time that the server has used since it was started.
func (s *Server) CPU() (time.Duration, error) { return procstat.CPU(s.PID()) }

// RSS is the server's resident memory, in bytes.
func (s *Server) RSS() (int64, error) { return procstat.RSS(s.PID()) }

// Disk is how many bytes of the files that it keeps are on disk.
func (s *Server) Disk() (bytes int64, err error) {
	err = filepath.WalkDir(filepath.Join(s.dir, "data"), func(path string, e fs.DirEntry, err error) error {
		var stat unix.Stat_t
		if err == nil && !e.IsDir() {
			err = unix.Lstat(path, &stat)
		}
		if errors.Is(err, fs.ErrNotExist) { // it went meanwhile
			return nil
		}
		bytes += stat.Blocks * 512
		return err
	})
	return bytes, err
}

// SettledCPU waits at least so long, and until the server has no more work, and
// returns its CPU time. What is done behind an answer is then counted, too.
func (s *Server) SettledCPU(ctx context.Context, atLeast time.Duration) (time.Duration, error) {
	const (
		poll   = 30 * time.Millisecond
		idle   = poll / 20 // of processor time, in one poll
		calm   = 4         // polls
		atMost = 10 * time.Second
	)
	start := time.Now()
	tick := time.NewTicker(poll)
	defer tick.Stop()
	last, err := s.CPU()
	for quiet := 0; err == nil; {
		waited := time.Since(start)
		if waited >= atLeast && quiet >= calm || waited > atMost {
			return last, nil
		}
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the server to settle: %w", ctx.Err())
		case <-tick.C:
		}
		var now time.Duration
		now, err = s.CPU()
		quiet++
		if now-last > idle {
			quiet = 0
		}
		last = now
	}
	return 0, err
}
