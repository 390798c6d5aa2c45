package kubelet

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

func newDeployment(o *appsv1.Deployment) *workload {
	return &workload{
		replicas: replicasOf(o.Spec.Replicas), template: o.Spec.Template,
		minReady: time.Duration(o.Spec.MinReadySeconds) * time.Second, step: stepDeployment,
	}
}

// stepDeployment makes a pod of the newest template beside the old ones, at most one more
// than wanted, and takes an old one away for each that is ready.
func stepDeployment(c *Cluster, w *workload) {
	var current, old []*pod
	ready := 0
	for _, p := range w.podsLocked(c) {
		switch {
		case p.terminating:
			continue
		case p.revision == w.revision:
			current = append(current, p)
		default:
			old = append(old, p)
		}
		if p.availableLocked(w.minReady) {
			ready++
		}
	}
	for len(current) < w.replicas && len(current)+len(old) < w.replicas+min(1, len(old)) {
		ordinal := c.made
		current = append(current, c.makePodLocked(w, fmt.Sprintf("%s-%s-%d", w.name, w.revision, ordinal), ordinal))
	}
	for _, p := range old {
		if p.availableLocked(w.minReady) {
			if ready <= w.replicas {
				continue
			}
			ready--
		}
		p.terminateLocked()
	}
	for _, p := range current[min(w.replicas, len(current)):] {
		p.terminateLocked()
	}
}
