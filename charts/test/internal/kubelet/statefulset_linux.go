package kubelet

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

func newStatefulSet(o *appsv1.StatefulSet) *workload {
	return &workload{
		replicas: replicasOf(o.Spec.Replicas), template: o.Spec.Template, claims: o.Spec.VolumeClaimTemplates,
		service: o.Spec.ServiceName, ordered: o.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
		minReady: time.Duration(o.Spec.MinReadySeconds) * time.Second,
		step:     stepStatefulSet,
	}
}

// stepStatefulSet makes the pods that are missing, takes away those that are too many, and
// when all are there replaces one of an old template.
func stepStatefulSet(c *Cluster, w *workload) {
	pods := map[int]*pod{}
	for _, p := range w.podsLocked(c) {
		pods[p.ordinal] = p
	}
	for ordinal := range w.replicas {
		p := pods[ordinal]
		if p == nil {
			p = c.makePodLocked(w, fmt.Sprintf("%s-%d", w.name, ordinal), ordinal)
			pods[ordinal] = p
		}
		if w.ordered && !p.availableLocked(w.minReady) && p.revision == w.revision {
			return
		}
	}
	for _, p := range slices.Backward(w.podsLocked(c)) {
		if p.ordinal < w.replicas {
			break
		}
		p.terminateLocked()
		if w.ordered {
			return
		}
	}
	for ordinal := w.replicas - 1; ordinal >= 0; ordinal-- {
		p := pods[ordinal]
		if p.revision != w.revision {
			p.terminateLocked()
			return
		}
		if !p.availableLocked(w.minReady) {
			return
		}
	}
}
