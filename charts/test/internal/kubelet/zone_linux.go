package kubelet

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/hubring/hubring/charts/test/internal/names"
)

// zone knows the names of a cluster: SERVICE.NAMESPACE.svc.DOMAIN, POD.SERVICE..., and
// _PORT._PROTOCOL.SERVICE....
type zone struct{ *Cluster }

// Hosts implements names.Zone.
func (z zone) Hosts(name string) ([]netip.Addr, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, ok := z.relative(name)
	if !ok {
		return nil, false
	}
	host, of, isHost := strings.Cut(name, ".")
	if !isHost {
		of = name
	}
	service := z.services[of]
	if service == nil {
		return nil, false
	}
	var addrs []netip.Addr
	for _, p := range z.publishedLocked(service) {
		if !isHost || hostOf(p, service) == host {
			addrs = append(addrs, p.addr)
		}
	}
	return addrs, !isHost || len(addrs) > 0
}

// Services implements names.Zone.
func (z zone) Services(name string) ([]names.Service, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	name, ok := z.relative(name)
	parts := strings.Split(name, ".")
	if !ok || len(parts) != 3 {
		return nil, false
	}
	service := z.services[parts[2]]
	if service == nil {
		return nil, false
	}
	for _, port := range service.Spec.Ports {
		if parts[0] == "_"+port.Name && parts[1] == "_"+strings.ToLower(string(cmp.Or(port.Protocol, corev1.ProtocolTCP))) {
			return z.targetsLocked(service, port), true
		}
	}
	return nil, false
}

// targetsLocked returns what the SRV records of a port name.
func (z zone) targetsLocked(service *corev1.Service, port corev1.ServicePort) []names.Service {
	suffix := service.Name + "." + z.suffix()
	if service.Spec.ClusterIP != corev1.ClusterIPNone {
		return []names.Service{{Target: suffix, Port: uint16(port.Port)}}
	}
	var targets []names.Service
	for _, p := range z.publishedLocked(service) {
		if number, ok := portOf(p, port); ok {
			targets = append(targets, names.Service{Target: hostOf(p, service) + "." + suffix, Port: number})
		}
	}
	return targets
}

func (z zone) suffix() string { return z.cfg.Namespace + ".svc." + z.cfg.Domain }

// relative takes the namespace and the cluster's domain off a name.
func (z zone) relative(name string) (string, bool) {
	return strings.CutSuffix(name, "."+z.suffix())
}

// publishedLocked returns the pods that a Service's names are for, in order.
func (z zone) publishedLocked(service *corev1.Service) []*pod {
	var all []*pod
	for _, p := range z.pods {
		if p.labelled(service.Spec.Selector) && p.addr.IsValid() && (p.readyLocked() || service.Spec.PublishNotReadyAddresses) {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *pod) int { return strings.Compare(a.name, b.name) })
	return all
}

// hostOf returns a pod's name behind a Service: its own if that gives it one, or its address.
func hostOf(p *pod, service *corev1.Service) string {
	if p.subdomain == service.Name {
		return p.name
	}
	return strings.ReplaceAll(p.addr.String(), ".", "-")
}

// portOf returns the port of a pod that a Service's port means.
func portOf(p *pod, port corev1.ServicePort) (uint16, bool) {
	if port.TargetPort.Type == intstr.Int {
		number := port.TargetPort.IntValue()
		if number == 0 {
			number = int(port.Port)
		}
		return uint16(number), true
	}
	for _, c := range slices.Concat(p.template.Spec.InitContainers, p.template.Spec.Containers) {
		for _, own := range c.Ports {
			if own.Name == port.TargetPort.StrVal {
				return uint16(own.ContainerPort), true
			}
		}
	}
	return 0, false
}
