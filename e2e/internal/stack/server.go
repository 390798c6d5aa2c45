package stack

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
)

// ServerConfig says what Prometheus server to start.
type ServerConfig struct {
	Name    string   // of the process and its data, once in a stack
	Program string   // in the folder of the programs; realbin.Prometheus when empty
	Config  string   // the content of its configuration file
	Address string   // where it listens; when empty on a free port, another one after Restart
	Data    string   // the folder of its data, made if need be; one of the stack's when empty
	Args    []string // more of its arguments
}

// Server is a Prometheus server. Its methods are for one goroutine at a time.
type Server struct {
	Address string // another one after Restart, unless ServerConfig says which
	Process *process.Process

	stack *Stack
	cfg   ServerConfig
}

// StartServer starts a server and waits until it is ready. It ends with the
// stack.
func (s *Stack) StartServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	v, err := s.startServer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return v, nil
}

// startServer is StartServer, and returns the server also when it did not get ready.
func (s *Stack) startServer(ctx context.Context, cfg ServerConfig) (*Server, error) {
	v := &Server{stack: s, cfg: cfg}
	if err := os.WriteFile(v.file(), []byte(cfg.Config), 0o644); err != nil {
		return v, fmt.Errorf("start %s: %w", cfg.Name, err)
	}
	return v, v.run(ctx)
}

func (v *Server) file() string { return filepath.Join(dataDir(v.stack.cfg), v.cfg.Name+".yml") }

// tsdbPath is the folder of the server's data.
func (v *Server) tsdbPath() string {
	return cmp.Or(v.cfg.Data, filepath.Join(dataDir(v.stack.cfg), v.cfg.Name))
}

// run starts the process and waits until the server is ready.
func (v *Server) run(ctx context.Context) error {
	args := []string{
		"--config.file=" + v.file(),
		"--storage.tsdb.path=" + v.tsdbPath(),
		// What a sidecar that uploads asks for: no compaction beside Thanos'.
		"--storage.tsdb.min-block-duration=2h",
		"--storage.tsdb.max-block-duration=2h",
		"--web.listen-address=" + cmp.Or(v.cfg.Address, "127.0.0.1:0"),
		"--web.enable-lifecycle",
		// Hidden: the first scrape after 1 s instead of 6 s.
		"--scrape.discovery-reload-interval=200ms",
	}
	program := filepath.Join(v.stack.cfg.Programs, cmp.Or(v.cfg.Program, realbin.Prometheus))
	p, err := v.stack.Run(v.cfg.Name, program, append(args, v.cfg.Args...)...)
	if err != nil {
		return err
	}
	v.Process = p
	if v.Address, err = p.WaitListening(ctx); err != nil {
		return err
	}
	return p.WaitHTTP(ctx, "http://"+v.Address+"/-/ready")
}

// Kill kills the server with SIGKILL. What it has stored stays.
func (v *Server) Kill() { v.Process.Kill() }

// Stop asks the server to stop, and waits until it has.
func (v *Server) Stop(timeout time.Duration) error { return v.Process.Stop(timeout) }

// Restart starts a server that has ended, with the data that it had.
func (v *Server) Restart(ctx context.Context) error {
	select {
	case <-v.Process.Done():
	default:
		return fmt.Errorf("restart %s: it still runs", v.cfg.Name)
	}
	if err := v.run(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", v.cfg.Name, err)
	}
	return nil
}
