package kubelet

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is a Kubernetes object of any kind.
type Object interface {
	runtime.Object
	metav1.Object
}

// Apply makes the objects those that the cluster runs, as an upgrade of a release does: what
// is not among them goes, what has changed is changed. It returns when that is decided; Settle waits
// for the end. If it returns an error nothing has changed.
func (c *Cluster) Apply(objects []Object) error {
	next := desired{services: map[string]*corev1.Service{}, files: map[string]map[string][]byte{}, workloads: map[string]*workload{}}
	var errs []error
	for _, o := range objects {
		if err := next.add(o); err != nil {
			errs = append(errs, fmt.Errorf("%T %s: %w", o, o.GetName(), err))
		}
	}
	errs = append(errs, next.checkPorts()...)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("apply: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, w := range c.workloads { // what is no more wanted shrinks to nothing
		if next.workloads[name] == nil {
			w.replicas = 0
			next.workloads[name] = w
		}
	}
	c.services, c.files, c.workloads = next.services, next.files, next.workloads
	for _, p := range c.pods {
		if err := p.refreshLocked(); err != nil {
			p.breakLocked(err)
		}
	}
	c.eventLocked("%d objects applied", len(objects))
	return nil
}

// desired is what objects say.
type desired struct {
	services  map[string]*corev1.Service
	files     map[string]map[string][]byte
	workloads map[string]*workload
}

func (d *desired) add(o Object) error {
	switch o := o.(type) {
	case *corev1.Service:
		d.services[o.Name] = o
	case *corev1.ConfigMap:
		d.files["ConfigMap/"+o.Name] = contentOf(o.Data, o.BinaryData)
	case *corev1.Secret:
		d.files["Secret/"+o.Name] = contentOf(o.StringData, o.Data)
	case *appsv1.StatefulSet:
		return d.addWorkload(o, newStatefulSet(o))
	case *appsv1.Deployment:
		return d.addWorkload(o, newDeployment(o))
	case *corev1.ServiceAccount, *policyv1.PodDisruptionBudget, *networkingv1.NetworkPolicy:
		// Nothing runs because of these.
	default:
		return errors.New("a kind that is not known here")
	}
	return nil
}

func (d *desired) addWorkload(o Object, w *workload) error {
	template, err := json.Marshal(w.template)
	if err != nil {
		return err
	}
	w.name = o.GetName()
	w.revision = fmt.Sprintf("%x", sha256.Sum256(template))[:8]
	d.workloads[w.name] = w
	return unsupported(w.template.Spec)
}

// checkPorts refuses Services with an address of their own that turn one port into
// another: their names have the pods' addresses here.
func (d *desired) checkPorts() []error {
	var errs []error
	for _, service := range d.services {
		for _, port := range service.Spec.Ports {
			for _, w := range d.workloads {
				p := &pod{template: w.template}
				if service.Spec.ClusterIP == corev1.ClusterIPNone || !p.labelled(service.Spec.Selector) {
					continue
				}
				if number, ok := portOf(p, port); !ok || int32(number) != port.Port {
					errs = append(errs, fmt.Errorf("the port %d of Service %s is %d of %s, and must be the same here", port.Port, service.Name, number, w.name))
				}
			}
		}
	}
	return errs
}

func contentOf(text map[string]string, data map[string][]byte) map[string][]byte {
	files := map[string][]byte{}
	for name, content := range data {
		files[name] = content
	}
	for name, content := range text {
		files[name] = []byte(content)
	}
	return files
}
