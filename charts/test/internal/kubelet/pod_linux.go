package kubelet

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/network"
)

// pod is one life of a pod.
type pod struct {
	cluster   *Cluster
	name      string
	owner     string // the workload's name
	ordinal   int
	revision  string // of the template
	subdomain string // the Service that gives it a name of its own
	template  corev1.PodTemplateSpec
	folder    string            // its own on this machine
	volumes   map[string]string // folders of this machine, by volume
	link      *network.Interface

	stop     chan struct{} // closed when it is to end
	kill     chan struct{} // closed when it is to end at once
	released chan struct{} // closed when a failed one may go

	// The cluster's mutex guards the rest.
	addr        netip.Addr
	ready       map[string]bool // containers
	since       time.Time       // when all of them have become so
	terminating bool
	deadline    time.Time // when its grace is over
	killed      bool
	failed      bool
	freed       bool
	broken      error // why it can never start
	restarts    map[string]int
}

// makePodLocked starts a pod's life.
func (c *Cluster) makePodLocked(w *workload, name string, ordinal int) *pod {
	c.made++
	c.lives[name]++
	p := &pod{
		cluster: c, name: name, owner: w.name, ordinal: ordinal, revision: w.revision, subdomain: w.service, template: w.template,
		folder:  filepath.Join(c.cfg.Dir, "pods", fmt.Sprintf("%s-%d", name, c.made)),
		volumes: map[string]string{}, ready: map[string]bool{}, restarts: map[string]int{},
		stop: make(chan struct{}), kill: make(chan struct{}), released: make(chan struct{}),
	}
	c.pods[name] = p
	c.eventLocked("pod %s: made", name)
	if err := p.mountLocked(w.claims); err != nil {
		p.breakLocked(err)
	}
	c.group.Go(p.live)
	return p
}

// live is the life of the pod, from its address to the end of its last container.
func (p *pod) live() {
	defer p.leave()
	link, err := p.cluster.network.Attach()
	if err != nil {
		p.fail(err)
		return
	}
	p.link = link
	p.update(func() { p.addr = link.Addr() })

	var sidecars, mains sync.WaitGroup
	mainsEnded := make(chan struct{})
	defer func() {
		mains.Wait()
		close(mainsEnded)
		sidecars.Wait()
	}()
	for _, spec := range p.template.Spec.InitContainers {
		if spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			l := p.lifetimeOf(spec, mainsEnded)
			sidecars.Go(l.run)
			if !l.waitStarted() {
				return
			}
			continue
		}
		if !p.lifetimeOf(spec, p.stop).runOnce() {
			return
		}
	}
	for _, spec := range p.template.Spec.Containers {
		mains.Go(p.lifetimeOf(spec, p.stop).run)
	}
}

// leave ends the pod: its address and what it wrote on an emptyDir are gone.
func (p *pod) leave() {
	if p.link != nil {
		if err := p.link.Detach(); err != nil {
			p.event("%v", err)
		}
	}
	p.cluster.mu.Lock()
	failed := p.failed
	p.cluster.mu.Unlock()
	if failed {
		<-p.released
	}
	err := os.RemoveAll(p.folder)
	p.update(func() {
		delete(p.cluster.pods, p.name)
		p.cluster.eventLocked("pod %s: gone", p.name)
		if err != nil {
			p.cluster.eventLocked("pod %s: %v", p.name, err)
		}
	})
}

// update changes what the mutex guards.
func (p *pod) update(change func()) {
	p.cluster.mu.Lock()
	defer p.cluster.mu.Unlock()
	change()
	p.cluster.changeLocked()
}

func (p *pod) event(format string, args ...any) {
	p.update(func() { p.cluster.eventLocked("pod %s: %s", p.name, fmt.Sprintf(format, args...)) })
}

// fail says why the pod cannot start, and waits until it is to end.
func (p *pod) fail(why error) {
	p.update(func() { p.breakLocked(why) })
	<-p.stop
}

func (p *pod) breakLocked(why error) {
	p.broken = why
	p.cluster.eventLocked("pod %s: %v", p.name, why)
}

// readyLocked tells whether all of its containers are ready, and it is to stay.
func (p *pod) readyLocked() bool {
	if p.terminating || p.killed || p.broken != nil || !p.addr.IsValid() {
		return false
	}
	for _, spec := range p.template.Spec.Containers {
		if !p.ready[spec.Name] {
			return false
		}
	}
	return true
}

// availableLocked tells whether it is ready for some time. When it will be, all who wait are woken.
func (p *pod) availableLocked(least time.Duration) bool {
	if !p.readyLocked() {
		return false
	}
	left := least - time.Since(p.since)
	if left > 0 {
		time.AfterFunc(left, func() { p.update(func() {}) })
	}
	return left <= 0
}

// terminateLocked begins the pod's end.
func (p *pod) terminateLocked() {
	if p.terminating {
		return
	}
	grace := 30 * time.Second
	if seconds := p.template.Spec.TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	p.terminating, p.deadline = true, time.Now().Add(grace)
	close(p.stop)
	p.cluster.eventLocked("pod %s: terminating", p.name)
}

// killLocked ends the pod's containers at once.
func (p *pod) killLocked() {
	p.terminateLocked()
	if !p.killed {
		p.killed = true
		close(p.kill)
	}
}

func (p *pod) releaseLocked() {
	if !p.freed {
		p.freed = true
		close(p.released)
	}
}

// labelled tells whether the pod has all labels of a selector, which must have some.
func (p *pod) labelled(selector map[string]string) bool {
	merged := maps.Clone(p.template.Labels)
	maps.Copy(merged, selector)
	return len(selector) > 0 && maps.Equal(merged, p.template.Labels)
}
