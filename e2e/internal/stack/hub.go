package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/wallclock"
)

// BuildHub builds the edgehub binary of the checkout into dir and returns its
// path, with the race detector if asked. The workspace is left out, so that
// the hub has the dependencies that its release has.
func BuildHub(ctx context.Context, checkout, dir string, race bool) (string, error) {
	return Build(ctx, checkout, filepath.Join(dir, "edgehub"), "./cmd/edgehub", raceFlag(race)...)
}

// BuildHubctl builds the checkout's hubctl into dir and returns its path.
func BuildHubctl(ctx context.Context, checkout, dir string) (string, error) {
	return Build(ctx, checkout, filepath.Join(dir, "hubctl"), "./cmd/hubctl")
}

func raceFlag(race bool) []string {
	if race {
		return []string{"-race"}
	}
	return nil
}

// Build builds a package of the module in a folder as path, which it returns.
func Build(ctx context.Context, folder, path, pkg string, flags ...string) (string, error) {
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", filepath.Base(path), err, out)
	}
	return path, nil
}

// Hub is one edgehub. Its methods are for one goroutine at a time.
type Hub struct {
	Name    string // stable, as the ring knows it
	Address string // stays the same when the hub is started again
	Process *process.Process
	Clock   *wallclock.Clock // its own, with Config.HubClock

	stack  *Stack
	server string // address of its Prometheus server, empty without one
}

// URL is the base that an exporter pushes to.
func (h *Hub) URL() string { return "http://" + h.Address }

func (s *Stack) startHub(ctx context.Context, name string) (*Hub, error) {
	h := &Hub{Name: name, stack: s}
	err := startOnFree(1, func(addresses []string) (*process.Process, error) {
		h.Address = addresses[0]
		err := h.run(ctx)
		return h.Process, err
	})
	if err != nil {
		return nil, err
	}
	return h, nil
}

// startPair starts the shard's hub and the server that scrapes it. Each is told
// the other's address.
func (s *Stack) startPair(ctx context.Context, sh *Shard) error {
	return startOnFree(2, func(addresses []string) (*process.Process, error) {
		h := &Hub{Name: "edgehub-" + sh.Name, Address: addresses[0], server: addresses[1], stack: s}
		if err := h.run(ctx); err != nil {
			return h.Process, err
		}
		target, err := s.target(h.Address)
		if err != nil {
			h.Process.Kill()
			return nil, err
		}
		v, err := s.startServer(ctx, ServerConfig{
			Name:    "prometheus-" + sh.Name,
			Config:  fmt.Sprintf(prometheusConfig, sh.Name, h.Name, target, s.cfg.protocols()),
			Address: h.server,
			Args:    s.cfg.features(),
		})
		if err != nil {
			h.Process.Kill()
			return v.Process, err
		}
		sh.Hub, sh.Prometheus, sh.Server, sh.tsdbPath = h, v.Address, v, v.tsdbPath()
		return nil, nil
	})
}

// target returns where a server reaches a hub.
func (s *Stack) target(hub string) (string, error) {
	if s.cfg.ScrapeVia == nil {
		return hub, nil
	}
	return s.cfg.ScrapeVia(hub)
}

// run starts the process and waits until the hub is ready.
func (h *Hub) run(ctx context.Context) error {
	args := append([]string{"--web.listen-address=" + h.Address, "--hub.name=" + h.Name}, h.stack.cfg.HubArgs...)
	if h.server != "" {
		args = append(args, "--scrape.server=http://"+h.server)
	}
	if h.stack.cfg.HubLogs {
		args = append(args, "--storage.path="+h.LogPath())
	}
	var env []string
	if h.stack.cfg.HubClock {
		if h.Clock == nil {
			var err error
			if h.Clock, err = wallclock.New(filepath.Join(h.stack.cfg.Dir, h.Name+"-clock")); err != nil {
				return err
			}
		}
		env = append(env, h.Clock.Env())
	}
	p, err := h.stack.RunIn(env, h.Name, h.stack.cfg.EdgeHub, args...)
	h.Process = p
	if err != nil {
		return err
	}
	return p.WaitHTTP(ctx, h.URL()+"/-/ready")
}

// LogPath is the directory of its log, with Config.HubLogs.
func (h *Hub) LogPath() string { return filepath.Join(h.stack.cfg.Dir, h.Name+"-log") }

// Kill kills the hub with SIGKILL and returns the moment at which it was
// known to be dead.
func (h *Hub) Kill() time.Time {
	h.Process.Kill()
	return time.Now()
}

// Restart starts a hub that has ended, on the address that it had.
func (h *Hub) Restart(ctx context.Context) error {
	select {
	case <-h.Process.Done():
	default:
		return fmt.Errorf("restart %s: it still runs", h.Name)
	}
	if err := h.run(ctx); err != nil {
		return fmt.Errorf("restart %s: %w", h.Name, err)
	}
	return nil
}
