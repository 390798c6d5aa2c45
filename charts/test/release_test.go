package charttest

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// release is what was rendered.
type release struct {
	name      string
	manifests []string // all, as they were rendered
	objects   []object
	foreign   []string // manifests of kinds that have no Go type here
	notes     string
	domain    string // of the cluster's DNS
}

// find returns the object of a type and name, or nil.
func find[T object](r *release, name string) T {
	for _, o := range every[T](r) {
		if o.GetName() == name {
			return o
		}
	}
	var none T
	return none
}

// every returns the objects of a type.
func every[T object](r *release) []T {
	var found []T
	for _, o := range r.objects {
		if typed, ok := o.(T); ok {
			found = append(found, typed)
		}
	}
	return found
}

// host returns the DNS name of a pod behind its StatefulSet's Service.
func (r *release) host(p pod) string {
	name := p.name + "." + p.service + "." + namespace + ".svc"
	if r.domain != "" {
		name += "." + r.domain
	}
	return name
}

// workload is what makes pods.
type workload struct {
	object
	replicas int
	selector *metav1.LabelSelector
	template corev1.PodTemplateSpec
	claims   []corev1.PersistentVolumeClaim
	service  string // of a StatefulSet
}

func (r *release) workloads() []workload {
	var all []workload
	for _, o := range r.objects {
		switch w := o.(type) {
		case *appsv1.StatefulSet:
			all = append(all, workload{o, replicasOf(w.Spec.Replicas), w.Spec.Selector, w.Spec.Template, w.Spec.VolumeClaimTemplates, w.Spec.ServiceName})
		case *appsv1.Deployment:
			all = append(all, workload{object: o, replicas: replicasOf(w.Spec.Replicas), selector: w.Spec.Selector, template: w.Spec.Template})
		case *appsv1.DaemonSet:
			all = append(all, workload{object: o, replicas: 1, selector: w.Spec.Selector, template: w.Spec.Template})
		case *batchv1.CronJob: // one at a time
			all = append(all, workload{object: o, replicas: 1, template: w.Spec.JobTemplate.Spec.Template})
		case *batchv1.Job:
			all = append(all, workload{object: o, replicas: 1, selector: w.Spec.Selector, template: w.Spec.Template})
		}
	}
	return all
}

func replicasOf(n *int32) int {
	if n == nil {
		return 1
	}
	return int(*n)
}

// pod is one of a workload.
type pod struct {
	name string
	workload
}

// pods returns those of the workloads with a container of that name, by workload.
func (r *release) pods(container string) []pod {
	var all []pod
	for _, w := range r.workloads() {
		if w.container(container) == nil {
			continue
		}
		for i := range w.replicas {
			all = append(all, pod{fmt.Sprintf("%s-%d", w.GetName(), i), w})
		}
	}
	return all
}

func (w workload) container(name string) *corev1.Container {
	for i, c := range w.template.Spec.Containers {
		if c.Name == name {
			return &w.template.Spec.Containers[i]
		}
	}
	return nil
}

// containers returns all of them, those that run before the others first.
func (w workload) containers() []corev1.Container {
	return slices.Concat(w.template.Spec.InitContainers, w.template.Spec.Containers)
}

// commandLine returns a container's arguments as its process gets them: Kubernetes
// replaces $(NAME) with the variable.
func (p pod) commandLine(c *corev1.Container) []string {
	known := []string{}
	for _, variable := range c.Env {
		value := variable.Value
		if from := variable.ValueFrom; from != nil && from.FieldRef != nil {
			switch from.FieldRef.FieldPath {
			case "metadata.name":
				value = p.name
			case "metadata.namespace":
				value = namespace
			case "metadata.labels['apps.kubernetes.io/pod-index']":
				value = strings.TrimPrefix(p.name, p.GetName()+"-")
			}
		}
		known = append(known, "$("+variable.Name+")", value)
	}
	replacer := strings.NewReplacer(known...)
	var args []string
	for _, arg := range slices.Concat(c.Command, c.Args) {
		args = append(args, replacer.Replace(arg))
	}
	return args
}

// flagValues returns the values of a flag that is written as --name=value.
func flagValues(args []string, name string) []string {
	var values []string
	for _, arg := range args {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			values = append(values, value)
		}
	}
	return values
}

// flagValue returns the value of a flag that is there once, or otherwise.
func flagValue(t *testing.T, args []string, name, otherwise string) string {
	t.Helper()
	values := flagValues(args, name)
	if len(values) == 0 {
		return otherwise
	}
	require.Len(t, values, 1, "--%s in %q", name, args)
	return values[0]
}

// files lays out what the release's ConfigMaps and Secrets give to a container, below
// a new folder, and returns the folder. Where a projected part is optional and of
// somebody else, it is left out.
func (r *release) files(t *testing.T, p pod, c *corev1.Container) string {
	t.Helper()
	root := t.TempDir()
	for _, mount := range c.VolumeMounts {
		for _, volume := range p.template.Spec.Volumes {
			if volume.Name != mount.Name {
				continue
			}
			for name, text := range r.contentOf(volume.VolumeSource) {
				to := path.Join(mount.MountPath, name)
				if mount.SubPath != "" {
					if name != mount.SubPath {
						continue
					}
					to = mount.MountPath
				}
				require.NoError(t, os.MkdirAll(filepath.Join(root, path.Dir(to)), 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(root, to), []byte(text), 0o644))
			}
		}
	}
	return root
}

// contentOf returns the files of a volume by their paths in it.
func (r *release) contentOf(v corev1.VolumeSource) map[string]string {
	content := map[string]string{}
	put := func(data map[string]string, items []corev1.KeyToPath) {
		for key, text := range data {
			if len(items) == 0 {
				content[key] = text
			}
			for _, item := range items {
				if item.Key == key {
					content[item.Path] = text
				}
			}
		}
	}
	configMap := func(name string, items []corev1.KeyToPath) {
		if m := find[*corev1.ConfigMap](r, name); m != nil {
			put(m.Data, items)
		}
	}
	secret := func(name string, items []corev1.KeyToPath) {
		if s := find[*corev1.Secret](r, name); s != nil {
			put(secretText(s), items)
		}
	}
	if v.ConfigMap != nil {
		configMap(v.ConfigMap.Name, v.ConfigMap.Items)
	}
	if v.Secret != nil {
		secret(v.Secret.SecretName, v.Secret.Items)
	}
	if v.Projected != nil {
		for _, source := range v.Projected.Sources {
			if source.ConfigMap != nil {
				configMap(source.ConfigMap.Name, source.ConfigMap.Items)
			}
			if source.Secret != nil {
				secret(source.Secret.Name, source.Secret.Items)
			}
		}
	}
	return content
}

func secretText(s *corev1.Secret) map[string]string {
	text := map[string]string{}
	for key, value := range s.Data {
		text[key] = string(value)
	}
	for key, value := range s.StringData {
		text[key] = value
	}
	return text
}

// relocated returns a text in which every path below a mount of the container lies
// below root, where files has put it.
func relocated(text, root string, c *corev1.Container) string {
	mounts := slices.Clone(c.VolumeMounts)
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { // a mount within another one is tried first
		return len(b.MountPath) - len(a.MountPath)
	})
	var pairs []string
	for _, mount := range mounts {
		pairs = append(pairs, mount.MountPath, filepath.Join(root, mount.MountPath))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}
