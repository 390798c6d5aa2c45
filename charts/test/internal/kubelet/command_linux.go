package kubelet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/container"
)

// start starts a container of the pod.
func (p *pod) start(c corev1.Container) (*container.Container, error) {
	spec, err := p.specOf(c)
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", c.Name, err)
	}
	log, err := os.OpenFile(p.cluster.logPath(p.name, c.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("container %s: open its log: %w", c.Name, err)
	}
	defer func() { _ = log.Close() }() // the container has its own
	spec.Log = log
	p.event("container %s: %s %s", c.Name, spec.Path, strings.Join(spec.Args, " "))
	return container.Start(spec, p.link)
}

// specOf says what a container of a manifest is to a runtime.
func (p *pod) specOf(c corev1.Container) (container.Spec, error) {
	image, err := p.cluster.imageOf(c)
	if err != nil {
		return container.Spec{}, err
	}
	spec := container.Spec{
		Root: filepath.Join(p.cluster.cfg.Dir, "root"), Program: image.Program, Path: image.Path, Dir: image.Dir, Hostname: p.name,
		Files: map[string]string{
			"/etc/resolv.conf": p.cluster.resolvConf(),
			"/etc/hostname":    p.name + "\n",
			"/etc/hosts":       fmt.Sprintf("127.0.0.1 localhost\n%s %s\n", p.link.Addr(), p.name),
		},
	}
	if c.WorkingDir != "" {
		spec.Dir = c.WorkingDir
	}
	variables, err := p.variables(c.Env)
	if err != nil {
		return container.Spec{}, err
	}
	spec.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=" + p.name}
	for _, v := range variables {
		spec.Env = append(spec.Env, v.name+"="+v.value)
	}
	for _, arg := range c.Args {
		spec.Args = append(spec.Args, expand(arg, variables))
	}
	if len(c.Command) > 0 {
		if c.Command[0] != image.Path {
			return container.Spec{}, fmt.Errorf("its command is %s, and of its image only %s is here", c.Command[0], image.Path)
		}
		spec.Args = append(slices.Clone(c.Command[1:]), spec.Args...)
	}
	if spec.Mounts, err = p.mountsOf(c); err != nil {
		return container.Spec{}, err
	}
	return spec, p.secure(&spec, c.SecurityContext)
}

// imageOf finds a container's image by its repository.
func (c *Cluster) imageOf(of corev1.Container) (Image, error) {
	repository, _, _ := strings.Cut(of.Image, "@")
	if colon := strings.LastIndex(repository, ":"); colon > strings.LastIndex(repository, "/") {
		repository = repository[:colon]
	}
	image, ok := c.cfg.Images[repository]
	if !ok {
		return Image{}, fmt.Errorf("pull %s: no such image here", of.Image)
	}
	if image.Dir == "" {
		image.Dir = "/"
	}
	return image, nil
}

// secure takes over what the pod's and the container's security contexts say.
func (p *pod) secure(spec *container.Spec, own *corev1.SecurityContext) error {
	all := p.template.Spec.SecurityContext
	if all == nil {
		all = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	spec.UID, spec.GID = int(first(own.RunAsUser, all.RunAsUser, 0)), int(first(own.RunAsGroup, all.RunAsGroup, 0))
	for _, group := range all.SupplementalGroups {
		spec.Groups = append(spec.Groups, int(group))
	}
	if all.FSGroup != nil {
		spec.Groups = append(spec.Groups, int(*all.FSGroup))
	}
	spec.ReadOnly = first(own.ReadOnlyRootFilesystem, nil, false)
	switch {
	case first(own.RunAsNonRoot, all.RunAsNonRoot, false) && spec.UID == 0:
		return errors.New("runAsNonRoot is true and it would run as root")
	case first(own.Privileged, nil, false):
		return errors.New("privileged containers are not known here")
	case own.Capabilities != nil && len(own.Capabilities.Add) > 0:
		return fmt.Errorf("it wants the capabilities %v, and there are none here", own.Capabilities.Add)
	}
	return nil
}

// first returns what the first of two that is there points to, or a default.
func first[T any](a, b *T, otherwise T) T {
	switch {
	case a != nil:
		return *a
	case b != nil:
		return *b
	default:
		return otherwise
	}
}

// unsupported returns what a pod asks for and would not get here.
func unsupported(spec corev1.PodSpec) error {
	var errs []error
	note := func(what string, asked bool) {
		if asked {
			errs = append(errs, fmt.Errorf("%s is not known here", what))
		}
	}
	note("hostNetwork, hostPID or hostIPC", spec.HostNetwork || spec.HostPID || spec.HostIPC)
	note("hostname, subdomain or hostAliases", spec.Hostname != "" || spec.Subdomain != "" || len(spec.HostAliases) > 0)
	note("dnsPolicy or dnsConfig", spec.DNSConfig != nil || spec.DNSPolicy != "" && spec.DNSPolicy != corev1.DNSClusterFirst)
	for _, c := range slices.Concat(spec.InitContainers, spec.Containers) {
		note(c.Name+": envFrom", len(c.EnvFrom) > 0)
		note(c.Name+": volumeDevices", len(c.VolumeDevices) > 0)
		if l := c.Lifecycle; l != nil {
			note(c.Name+": postStart", l.PostStart != nil)
			note(c.Name+": a preStop that does not sleep", l.PreStop != nil && l.PreStop.Sleep == nil)
		}
		for _, probe := range []*corev1.Probe{c.StartupProbe, c.ReadinessProbe} {
			note(c.Name+": a probe by exec or gRPC", probe != nil && probe.HTTPGet == nil && probe.TCPSocket == nil)
		}
		for _, mount := range c.VolumeMounts {
			note(c.Name+": subPathExpr", mount.SubPathExpr != "")
		}
	}
	return errors.Join(errs...)
}
