package kubelet

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/container"
)

// How long a container that ends by itself waits for its next start, as the kubelet has it: not at
// all the first time.
const (
	firstBackoff = 10 * time.Second
	maxBackoff   = 5 * time.Minute
)

// lifetime is a container of a pod, through its restarts.
type lifetime struct {
	pod     *pod
	spec    corev1.Container
	stop    <-chan struct{} // closed when it is to end
	started chan struct{}   // closed when its startup probe has succeeded
}

func (p *pod) lifetimeOf(spec corev1.Container, stop <-chan struct{}) *lifetime {
	return &lifetime{pod: p, spec: spec, stop: stop, started: make(chan struct{})}
}

// waitStarted waits until the container runs, and returns false if the pod is to end before.
func (l *lifetime) waitStarted() bool {
	select {
	case <-l.started:
		return true
	case <-l.pod.stop:
		return false
	}
}

// run keeps the container running until it is to stop.
func (l *lifetime) run() {
	backoff := time.Duration(0)
	for l.runUntilItEnds() {
		timer := time.NewTimer(backoff)
		select {
		case <-timer.C:
		case <-l.stop:
			timer.Stop()
			return
		}
		backoff = min(maxBackoff, max(firstBackoff, 2*backoff))
	}
}

// runOnce runs an init container to its end, again and again until it succeeds. It returns false
// if the pod is to end.
func (l *lifetime) runOnce() bool {
	for {
		running, ok := l.start()
		if !ok {
			return false
		}
		select {
		case <-running.Done():
		case <-l.stop:
			l.end(running)
			return false
		}
		if running.Err() == nil {
			return true
		}
		l.restarted(running.Err())
		timer := time.NewTimer(time.Second)
		select {
		case <-timer.C:
		case <-l.stop:
			timer.Stop()
			return false
		}
	}
}

// runUntilItEnds starts the container, and returns true if it ended by itself.
func (l *lifetime) runUntilItEnds() bool {
	running, ok := l.start()
	if !ok {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	probed := make(chan struct{})
	go func() {
		defer close(probed)
		l.probe(ctx)
	}()
	ended := false
	select {
	case <-running.Done():
		ended = true
	case <-l.stop:
	}
	cancel()
	<-probed
	if ended {
		l.setReady(false)
		l.restarted(running.Err())
		return true
	}
	l.end(running)
	return false
}

// start starts the container's process. If that cannot be, the pod is broken.
func (l *lifetime) start() (*container.Container, bool) {
	select {
	case <-l.stop:
		return nil, false
	default:
	}
	running, err := l.pod.start(l.spec)
	if err != nil {
		l.pod.fail(err)
		return nil, false
	}
	return running, true
}

// end stops the container as the kubelet does: its preStop hook, SIGTERM, and SIGKILL when the
// pod's grace is over.
func (l *lifetime) end(running *container.Container) {
	l.pod.cluster.mu.Lock()
	deadline := l.pod.deadline
	l.pod.cluster.mu.Unlock()
	grace := time.NewTimer(time.Until(deadline))
	defer grace.Stop()
	over := func(wait <-chan time.Time) bool { // tells whether nothing is left to wait for
		select {
		case <-running.Done():
		case <-l.pod.kill:
		case <-grace.C:
			l.pod.event("container %s: its grace is over", l.spec.Name)
		case <-wait:
			return false
		}
		return true
	}
	if l.spec.Lifecycle == nil || l.spec.Lifecycle.PreStop == nil || !over(time.After(time.Duration(l.spec.Lifecycle.PreStop.Sleep.Seconds)*time.Second)) {
		running.Signal(syscall.SIGTERM)
		over(nil)
	}
	running.Signal(os.Kill)
	if err := running.Err(); err != nil {
		l.pod.event("container %s: %v", l.spec.Name, err)
	}
}

func (l *lifetime) setReady(ready bool) {
	l.pod.update(func() {
		if l.pod.ready[l.spec.Name] != ready {
			l.pod.ready[l.spec.Name], l.pod.since = ready, time.Now()
			l.pod.cluster.eventLocked("pod %s: container %s: ready is %t", l.pod.name, l.spec.Name, ready)
		}
	})
}

func (l *lifetime) restarted(how error) {
	if how == nil {
		how = errors.New("exit status 0")
	}
	l.pod.update(func() { l.pod.restarts[l.spec.Name]++ })
	l.pod.event("container %s ended by itself: %v", l.spec.Name, how)
}
