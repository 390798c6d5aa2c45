package kubelet

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"

	"github.com/hubring/hubring/charts/test/internal/container"
	"github.com/hubring/hubring/charts/test/internal/volume"
)

// mountLocked makes the pod's volumes. Those of claims are there after the pod.
func (p *pod) mountLocked(claims []corev1.PersistentVolumeClaim) error {
	for _, claim := range claims {
		if err := p.claim(claim.Name, claim.Name+"-"+p.name); err != nil {
			return err
		}
	}
	for _, v := range p.template.Spec.Volumes {
		switch {
		case v.PersistentVolumeClaim != nil:
			if err := p.claim(v.Name, v.PersistentVolumeClaim.ClaimName); err != nil {
				return err
			}
		case v.EmptyDir != nil, isFiles(v.VolumeSource):
			if err := p.folderFor(v.Name, filepath.Join(p.folder, v.Name)); err != nil {
				return err
			}
		default:
			return fmt.Errorf("volume %s: a kind that is not known here", v.Name)
		}
	}
	return p.refreshLocked()
}

func (p *pod) claim(volume, claim string) error {
	return p.folderFor(volume, filepath.Join(p.cluster.cfg.Dir, "claims", claim))
}

// folderFor makes a folder for a volume, which the pod's group may write to.
func (p *pod) folderFor(volume, folder string) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return fmt.Errorf("make the volume %s: %w", volume, err)
	}
	p.volumes[volume] = folder
	if security := p.template.Spec.SecurityContext; security != nil && security.FSGroup != nil {
		return container.Own(folder, int(*security.FSGroup))
	}
	return nil
}

// isFiles tells whether a volume has files of ConfigMaps and Secrets.
func isFiles(v corev1.VolumeSource) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.Projected != nil
}

// refreshLocked writes the files that ConfigMaps and Secrets have now.
func (p *pod) refreshLocked() error {
	for _, v := range p.template.Spec.Volumes {
		if !isFiles(v.VolumeSource) {
			continue
		}
		files, err := p.cluster.filesLocked(v.VolumeSource)
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		if err := volume.Publish(p.volumes[v.Name], files); err != nil {
			return err
		}
	}
	return nil
}

// filesLocked returns the files of a volume by their paths.
func (c *Cluster) filesLocked(v corev1.VolumeSource) (map[string][]byte, error) {
	switch {
	case v.ConfigMap != nil:
		return c.keysLocked("ConfigMap/"+v.ConfigMap.Name, v.ConfigMap.Items, first(v.ConfigMap.Optional, nil, false))
	case v.Secret != nil:
		return c.keysLocked("Secret/"+v.Secret.SecretName, v.Secret.Items, first(v.Secret.Optional, nil, false))
	}
	all := map[string][]byte{}
	for _, source := range v.Projected.Sources {
		files, err := c.projectedLocked(source)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, files)
	}
	return all, nil
}

func (c *Cluster) projectedLocked(source corev1.VolumeProjection) (map[string][]byte, error) {
	switch {
	case source.ConfigMap != nil:
		return c.keysLocked("ConfigMap/"+source.ConfigMap.Name, source.ConfigMap.Items, first(source.ConfigMap.Optional, nil, false))
	case source.Secret != nil:
		return c.keysLocked("Secret/"+source.Secret.Name, source.Secret.Items, first(source.Secret.Optional, nil, false))
	default:
		return nil, fmt.Errorf("a projection that is not known here: %v", source)
	}
}

// keysLocked returns what a ConfigMap or Secret has, or the items of it, by their paths.
func (c *Cluster) keysLocked(object string, items []corev1.KeyToPath, optional bool) (map[string][]byte, error) {
	content, ok := c.files[object]
	if !ok && !optional {
		return nil, fmt.Errorf("there is no %s", object)
	}
	if len(items) == 0 {
		return content, nil
	}
	files := map[string][]byte{}
	for _, item := range items {
		text, ok := content[item.Key]
		if !ok && !optional {
			return nil, fmt.Errorf("%s has no key %s", object, item.Key)
		}
		if ok {
			files[item.Path] = text
		}
	}
	return files, nil
}

// mountsOf returns a container's mounts.
func (p *pod) mountsOf(c corev1.Container) ([]container.Mount, error) {
	var mounts []container.Mount
	for _, m := range c.VolumeMounts {
		folder, ok := p.volumes[m.Name]
		if !ok {
			return nil, fmt.Errorf("mount %s: there is no such volume", m.Name)
		}
		readOnly := m.ReadOnly
		for _, v := range p.template.Spec.Volumes {
			readOnly = readOnly || v.Name == m.Name && isFiles(v.VolumeSource)
		}
		mounts = append(mounts, container.Mount{Source: filepath.Join(folder, m.SubPath), Target: m.MountPath, ReadOnly: readOnly})
	}
	return mounts, nil
}
