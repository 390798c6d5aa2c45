// Package stack runs what stands between a controller and a PromQL answer,
// as real processes on loopback:
//
//	          ┌► edgehub-0 ◄─scrape─ prometheus-0 ◄─ sidecar-0 ┐
//	exporter ─┼► edgehub-1 ◄─scrape─ prometheus-1 ◄─ sidecar-1 ┼─ querier
//	(test)    └► edgehub-2 ◄─scrape─ prometheus-2 ◄─ sidecar-2 ┘
//
// each hub asking its server what that has stored,
// and, as sources of real metrics, node exporters.
package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/process"
)

// startTimeout bounds the start of a whole stack. It takes a few seconds.
const startTimeout = 2 * time.Minute

// raceReport is how the race detector's reports begin.
const raceReport = "WARNING: DATA RACE"

// Config says what a stack consists of.
type Config struct {
	Programs string   // folder of the real programs, see package realbin
	EdgeHub  string   // path of the hub's binary, see BuildHub
	Dir      string   // for logs and data
	Shards   int      // hubs, each with its own Prometheus server
	HubsOnly bool     // no Prometheus servers, but those of StartServer
	Protobuf bool     // scrapes, as the chart has them, and not by text
	HubArgs  []string // more of every hub's arguments
	Features []string // of its Prometheus server that are no default
	HubLogs  bool     // hubs have their log on disk, and go on with it when they are started again
	HubClock bool     // hubs were built for a clock of their own, see package wallclock
	// ScrapeVia returns where servers reach the hub of an address; nil for the hub itself.
	ScrapeVia     func(hub string) (address string, err error)
	Global        bool // sidecars and a querier, too
	NodeExporters int
	OpenMetrics   bool // servers scrape that, version 1.0, and nothing else
}

// Stack is a set of running programs.
type Stack struct {
	Shards        []*Shard
	Querier       string   // address of the Thanos querier, empty without one
	NodeExporters []string // addresses

	cfg Config

	mu        sync.Mutex
	processes []*process.Process // of every start, the ended ones too
}

// Shard is one hub and the Prometheus server that scrapes it.
type Shard struct {
	Name       string // its external label
	Hub        *Hub
	Prometheus string // address
	Server     *Server

	tsdbPath    string // folder of the server's data
	sidecarGRPC string // address, empty without one
}

// Start starts the programs and waits until each is ready and the querier
// knows every sidecar. The caller must Close the stack. When Start fails
// nothing keeps running.
func Start(ctx context.Context, cfg Config) (_ *Stack, err error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, dir := range []string{logDir(cfg), dataDir(cfg)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("start the stack: %w", err)
		}
	}
	s := &Stack{cfg: cfg, NodeExporters: make([]string, cfg.NodeExporters)}
	defer func() {
		if err != nil {
			s.kill()
		}
	}()

	g, gctx := errgroup.WithContext(ctx)
	for i := range cfg.Shards {
		sh := &Shard{Name: strconv.Itoa(i)}
		s.Shards = append(s.Shards, sh)
		g.Go(func() error { return s.startShard(gctx, sh) })
	}
	for i := range cfg.NodeExporters {
		g.Go(func() error {
			address, err := s.startNodeExporter(gctx, i)
			s.NodeExporters[i] = address
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, fmt.Errorf("start the stack: %w", err)
	}
	if cfg.Global {
		if s.Querier, err = s.StartQuerier(ctx, "querier"); err != nil {
			return nil, fmt.Errorf("start the stack: %w", err)
		}
	}
	return s, nil
}

func (s *Stack) startShard(ctx context.Context, sh *Shard) error {
	var err error
	if s.cfg.HubsOnly {
		sh.Hub, err = s.startHub(ctx, "edgehub-"+sh.Name)
		return err
	}
	if err := s.startPair(ctx, sh); err != nil {
		return err
	}
	if !s.cfg.Global {
		return nil
	}
	sh.sidecarGRPC, err = s.startSidecar(ctx, sh)
	return err
}

// StartShard starts one more shard, which is neither in Shards nor known to the querier.
func (s *Stack) StartShard(ctx context.Context, name string) (*Shard, error) {
	sh := &Shard{Name: name}
	if err := s.startPair(ctx, sh); err != nil {
		return nil, fmt.Errorf("start shard %s: %w", name, err)
	}
	return sh, nil
}

func logDir(cfg Config) string  { return filepath.Join(cfg.Dir, "logs") }
func dataDir(cfg Config) string { return filepath.Join(cfg.Dir, "data") }

// Run starts a program. It ends with the stack, and DumpLogs has its log.
func (s *Stack) Run(name, path string, args ...string) (*process.Process, error) {
	return s.RunIn(nil, name, path, args...)
}

// RunIn does so with more in the program's environment, NAME=VALUE each.
func (s *Stack) RunIn(env []string, name, path string, args ...string) (*process.Process, error) {
	p, err := process.Start(process.Spec{Name: name, Path: path, Args: args, Env: env, LogDir: logDir(s.cfg)})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes = append(s.processes, p)
	return p, nil
}

// startOnFree starts a program on n free addresses, and on others when
// somebody else was faster on one. start must return an error only once the
// program has ended or failed to get ready.
func startOnFree(n int, start func(addresses []string) (*process.Process, error)) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		addresses := make([]string, n)
		for i := range addresses {
			var err error
			if addresses[i], err = process.FreeAddress(); err != nil {
				return err
			}
		}
		p, err := start(addresses)
		if err == nil {
			return nil
		}
		if p == nil {
			return err
		}
		p.Kill()
		if attempt == attempts || !strings.Contains(p.Log(), "address already in use") {
			return err
		}
	}
}

// Close ends every program. It returns an error when a hub reported a data
// race.
func (s *Stack) Close() error {
	s.kill()
	for _, p := range s.all() {
		log := p.Log()
		if at := strings.Index(log, raceReport); at >= 0 {
			return fmt.Errorf("data race in %s:\n%.4000s", p.Name(), log[at:])
		}
	}
	return nil
}

func (s *Stack) kill() {
	for _, p := range s.all() {
		p.Kill()
	}
}

func (s *Stack) all() []*process.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*process.Process(nil), s.processes...)
}

// DumpLogs writes the end of each program's log, at most n bytes of each.
func (s *Stack) DumpLogs(w io.Writer, n int) {
	for _, p := range s.all() {
		fmt.Fprintf(w, "--- the log of %s ends:\n%s", p.Name(), p.LogTail(n))
	}
}
