package kubelet

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// workload is what a StatefulSet or a Deployment says.
type workload struct {
	name     string
	replicas int
	template corev1.PodTemplateSpec
	revision string // of the template
	service  string // that a StatefulSet's pods have their names from
	claims   []corev1.PersistentVolumeClaim
	ordered  bool          // one pod after the other
	minReady time.Duration // how long a pod is ready before the next one goes

	// step does what can be done now; it is called again after every change.
	step func(*Cluster, *workload)
}

func (w *workload) stepLocked(c *Cluster) { w.step(c, w) }

// podsLocked returns its pods, of the lowest ordinal first.
func (w *workload) podsLocked(c *Cluster) []*pod {
	var all []*pod
	for _, p := range c.pods {
		if p.owner == w.name {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pod) int { return cmp.Compare(a.ordinal, b.ordinal) })
	return all
}

// settledLocked tells whether there is nothing left to do.
func (w *workload) settledLocked(c *Cluster) bool {
	pods := w.podsLocked(c)
	for _, p := range pods {
		if p.revision != w.revision || !p.availableLocked(w.minReady) {
			return false
		}
	}
	return len(pods) == w.replicas
}

func replicasOf(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}
