// Package kubelet runs Kubernetes objects as one machine of a cluster would: processes in
// containers, on a network with a DNS server. It is a small stand-in for the kubelet,
// the controllers and CoreDNS, as far as a chart's promises rest on them:
//
//   - StatefulSets (ordinals, claims that outlive pods, Parallel and OrderedReady, rolling
//     updates from the highest ordinal, each waiting for the last one to be ready) and
//     Deployments (a surplus pod first);
//   - init containers and native sidecars, readiness, restarts, preStop, SIGTERM and
//     SIGKILL when the grace is over;
//   - ConfigMaps and Secrets as files that change under running pods;
//   - security contexts: the user, a root that cannot be written to, no capabilities;
//   - names: A and SRV records of Services, of pods that are ready or of all.
//
// What it does not know it refuses, rather than to run something else than the
// manifests say. Network policies, resource limits and liveness probes are not looked
// at. Everything is faster than in a cluster: probes are asked more often, and
// ConfigMaps are written at once.
//
// It belongs into a sandbox.
//
//	cluster     objects in, pods out; waiting
//	objects     what is understood of each kind
//	statefulset, deployment    the next step towards what is wanted
//	pod         the life of a pod; lifetime: of one of its containers
//	probe       whether a container is ready
//	command     a container of a manifest as a process
//	environment its variables
//	volumes     what is mounted
//	zone        names
package kubelet
