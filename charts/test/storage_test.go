package charttest

import (
	"path"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// A hub's log is on a volume that it can write: of its node, or one that outlives the pod; or it has none.
func TestHubsWriteTheirLogToAVolume(t *testing.T) {
	for _, c := range []struct {
		values           string
		stored, outlives bool
	}{
		{`{}`, true, false},
		{`{edgehub: {persistence: {enabled: true, size: 9Gi}}}`, true, true},
		{`{edgehub: {storage: {enabled: false}}}`, false, false},
		{`{edgehub: {storage: {enabled: false}, persistence: {enabled: true}}}`, false, false},
	} {
		for _, hub := range mustRender(t, c.values).hubs(t) {
			dir := flagValue(t, hub.args, "storage.path", "")
			require.Equal(t, c.stored, dir != "", c.values)
			assert.Len(t, hub.claims, map[bool]int{true: 1}[c.outlives], c.values)
			if !c.stored {
				assert.Empty(t, flagValue(t, hub.args, "storage.sync", ""))
				continue
			}
			mounts := hub.container("edgehub").VolumeMounts
			i := slices.IndexFunc(mounts, func(m corev1.VolumeMount) bool { return m.MountPath == path.Dir(dir) })
			require.GreaterOrEqual(t, i, 0, "%s is on no volume", dir)
			assert.False(t, mounts[i].ReadOnly)
			assert.NotEqual(t, "/edgehub", mounts[i].MountPath, "the image has its program there")
			volumes := hub.template.Spec.Volumes
			v := slices.IndexFunc(volumes, func(v corev1.Volume) bool { return v.Name == mounts[i].Name })
			if c.outlives {
				assert.Equal(t, hub.claims[0].Name, mounts[i].Name)
				assert.Equal(t, "9Gi", hub.claims[0].Spec.Resources.Requests.Storage().String())
				assert.Negative(t, v, "the claim is the volume")
			} else {
				require.GreaterOrEqual(t, v, 0)
				assert.NotNil(t, volumes[v].EmptyDir)
			}
		}
	}
}
