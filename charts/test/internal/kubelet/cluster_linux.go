package kubelet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/names"
	"github.com/hubring/hubring/charts/test/internal/network"
	"github.com/hubring/hubring/charts/test/internal/sandbox"
)

// Config says what a cluster is.
type Config struct {
	Dir       string           // a folder for volumes and logs
	Namespace string           // of all objects
	Domain    string           // of the cluster, such as cluster.local
	Images    map[string]Image // by repository, without tag and digest
	// ProbeEvery is the time between two probes of a container whose manifest has a longer one.
	ProbeEvery time.Duration
}

// Image is what an image has in it.
type Image struct {
	Program string // on this machine
	Path    string // its entrypoint
	Dir     string // its working directory
}

// addresses of pods.
var addresses = netip.MustParsePrefix("10.128.0.0/16")

// Host is the address by which pods reach this process.
const Host = "10.128.0.1"

// Cluster runs objects. It is safe for concurrent use.
type Cluster struct {
	cfg     Config
	network *network.Network
	dns     *names.Server
	stop    context.CancelFunc // ends the controllers
	group   sync.WaitGroup     // controllers and pods

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced when anything below changes
	stopped   bool
	services  map[string]*corev1.Service
	files     map[string]map[string][]byte // by kind/name
	workloads map[string]*workload
	pods      map[string]*pod
	made      int            // pods so far
	lives     map[string]int // of each pod so far
	events    []string
}

// New returns a cluster without objects. In this process, too, names are resolved by
// its DNS server from then on. The caller must Close it.
func New(cfg Config) (*Cluster, error) {
	if !sandbox.Inside() {
		return nil, errors.New("start a cluster: this is no sandbox, and it would change the machine's network")
	}
	c := &Cluster{
		cfg: cfg, changed: make(chan struct{}),
		services: map[string]*corev1.Service{}, files: map[string]map[string][]byte{},
		workloads: map[string]*workload{}, pods: map[string]*pod{}, lives: map[string]int{},
	}
	if err := c.open(); err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	c.group.Go(func() { c.control(ctx) })
	return c, nil
}

func (c *Cluster) open() error {
	for _, folder := range []string{"root", "pods", "claims", "logs"} {
		if err := os.MkdirAll(filepath.Join(c.cfg.Dir, folder), 0o755); err != nil {
			return err
		}
	}
	var err error
	if c.network, err = network.New(addresses); err != nil {
		return err
	}
	if c.dns, err = names.Serve(c.network.Host(), zone{c}); err != nil {
		return err
	}
	own := filepath.Join(c.cfg.Dir, "resolv.conf")
	if err := os.WriteFile(own, []byte(c.resolvConf()), 0o644); err != nil {
		return err
	}
	system, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		return err
	}
	if err := unix.Mount(own, system, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s on %s: %w", own, system, err)
	}
	return nil
}

// resolvConf is what the kubelet writes for a pod.
func (c *Cluster) resolvConf() string {
	return fmt.Sprintf("nameserver %s\nsearch %s.svc.%s svc.%[3]s %[3]s\noptions ndots:5\n",
		c.network.Host(), c.cfg.Namespace, c.cfg.Domain)
}

// Close kills all pods and waits for them.
func (c *Cluster) Close() error {
	c.mu.Lock()
	c.stopped = true
	for _, p := range c.pods {
		p.killLocked()
		p.releaseLocked()
	}
	c.mu.Unlock()
	c.stop()
	c.group.Wait()
	return c.dns.Close()
}

// control takes every workload a step further whenever something has changed.
func (c *Cluster) control(ctx context.Context) {
	for {
		c.mu.Lock()
		if !c.stopped {
			for _, name := range slices.Sorted(maps.Keys(c.workloads)) {
				c.workloads[name].stepLocked(c)
			}
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-changed:
		}
	}
}

// changeLocked wakes all who wait for a change.
func (c *Cluster) changeLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// eventLocked notes what happened, for whoever reads why a test failed.
func (c *Cluster) eventLocked(format string, args ...any) {
	c.events = append(c.events, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
	c.changeLocked()
}

// Settle waits until every workload is what its object says: each of its pods there,
// of the newest template and ready, and no other. A pod that can never start is an error.
func (c *Cluster) Settle(ctx context.Context) error {
	for {
		c.mu.Lock()
		err, broken := c.unsettledLocked()
		changed := c.changed
		c.mu.Unlock()
		if err == nil || broken {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the cluster: %w: %w", ctx.Err(), err)
		case <-changed:
		}
	}
}

// unsettledLocked returns what Settle waits for, and whether it is in vain.
func (c *Cluster) unsettledLocked() (err error, broken bool) {
	var waiting []string
	for _, p := range c.pods {
		if p.broken != nil {
			return fmt.Errorf("pod %s cannot start: %w", p.name, p.broken), true
		}
	}
	for _, w := range c.workloads {
		if !w.settledLocked(c) {
			waiting = append(waiting, w.name)
		}
	}
	if len(waiting) > 0 {
		slices.Sort(waiting)
		return fmt.Errorf("not as they should be: %s", strings.Join(waiting, ", ")), false
	}
	return nil, false
}

// Fail makes a pod's machine die: its containers are gone at once, nobody reaches it, and nobody
// starts it elsewhere until Recover.
func (c *Cluster) Fail(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[name]
	if p == nil {
		return fmt.Errorf("fail pod %s: there is none", name)
	}
	p.failed = true
	p.killLocked()
	c.eventLocked("pod %s: its machine dies", name)
	return nil
}

// Mute drops all that a pod sends from now on, so that others wait for its answers.
func (c *Cluster) Mute(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[name]
	if p == nil || p.link == nil {
		return fmt.Errorf("mute pod %s: there is none", name)
	}
	c.eventLocked("pod %s: what it sends is dropped", name)
	return p.link.Mute()
}

// Recover takes a failed pod away, so that its workload makes a new one.
func (c *Cluster) Recover(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.pods[name]
	if p == nil || !p.failed {
		return fmt.Errorf("recover pod %s: it has not failed", name)
	}
	p.releaseLocked()
	return nil
}

// Restarts returns how often containers ended by themselves, by pod/container.
func (c *Cluster) Restarts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int{}
	for _, p := range c.pods {
		for name, n := range p.restarts {
			all[p.name+"/"+name] = n
		}
	}
	return all
}

// Lives returns how many pods of each name there were so far.
func (c *Cluster) Lives() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.lives)
}
