package kubelet

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// variable of a container's environment.
type variable struct{ name, value string }

// variables returns those of a container, in which earlier ones are replaced.
func (p *pod) variables(env []corev1.EnvVar) ([]variable, error) {
	var all []variable
	for _, e := range env {
		value := expand(e.Value, all)
		if e.ValueFrom != nil {
			var err error
			if value, err = p.valueFrom(e.ValueFrom); err != nil {
				return nil, fmt.Errorf("variable %s: %w", e.Name, err)
			}
		}
		all = append(all, variable{e.Name, value})
	}
	return all, nil
}

func (p *pod) valueFrom(from *corev1.EnvVarSource) (string, error) {
	switch {
	case from.FieldRef != nil:
		return p.field(from.FieldRef.FieldPath)
	case from.ConfigMapKeyRef != nil:
		return p.cluster.key("ConfigMap/"+from.ConfigMapKeyRef.Name, from.ConfigMapKeyRef.Key)
	case from.SecretKeyRef != nil:
		return p.cluster.key("Secret/"+from.SecretKeyRef.Name, from.SecretKeyRef.Key)
	default:
		return "", fmt.Errorf("a source that is not known here: %v", from)
	}
}

// field returns a field of the pod, as the downward API does.
func (p *pod) field(path string) (string, error) {
	switch path {
	case "metadata.name":
		return p.name, nil
	case "metadata.labels['apps.kubernetes.io/pod-index']":
		return p.name[strings.LastIndexByte(p.name, '-')+1:], nil
	case "metadata.namespace":
		return p.cluster.cfg.Namespace, nil
	case "status.podIP":
		return p.link.Addr().String(), nil
	default:
		return "", fmt.Errorf("the field %s is not known here", path)
	}
}

// key returns what is under a key of a ConfigMap or Secret.
func (c *Cluster) key(object, key string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text, ok := c.files[object][key]
	if !ok {
		return "", fmt.Errorf("there is no %s with the key %s", object, key)
	}
	return string(text), nil
}

// expand replaces $(NAME) by the variable's value, and $$ by $. A name that there is not stays as it is.
func expand(text string, variables []variable) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest, isName := strings.Cut(strings.TrimPrefix(after, "("), ")")
		switch value, known := lookup(variables, name); {
		case strings.HasPrefix(after, "$"):
			b.WriteByte('$')
			text = after[1:]
		case strings.HasPrefix(after, "(") && isName && known:
			b.WriteString(value)
			text = rest
		default:
			b.WriteByte('$')
			text = after
		}
	}
}

func lookup(variables []variable, name string) (string, bool) {
	for _, v := range variables {
		if v.name == name {
			return v.value, true
		}
	}
	return "", false
}
