package charttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// withBucket is object storage in a folder.
const withBucket = `{create_thanos: true, objectStorage: {enabled: true, config: {type: FILESYSTEM, config: {directory: /bucket}}, volume: {hostPath: {path: /srv}}}}`

// Every part that reads or writes the bucket has its configuration, and the bucket itself if it is a folder.
func TestBucketIsKnownToAll(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		_, store, _ := r.component("store")
		known := 0
		for _, w := range r.workloads() {
			p := pod{w.GetName() + "-0", w}
			for i := range w.template.Spec.Containers {
				c := &w.template.Spec.Containers[i]
				args := p.commandLine(c)
				parts := []string{"sidecar", "store", "compact"}
				if len(r.pods("thanos-query")) > 0 {
					parts = append(parts, "rule") // otherwise a server has what it makes
				}
				needs := programOf(*c) == "thanos" && slices.Contains(parts, args[0])
				file := flagValue(t, args, "objstore.config-file", "")
				if store == nil || !needs {
					assert.Empty(t, file, "%s, container %s: --objstore.config-file", w.GetName(), c.Name)
					continue
				}
				known++
				assertBucketFile(t, r, p, c, file)
			}
		}
		assert.Equal(t, store != nil, known > 0)
	})
}

// assertBucketFile asserts that a container finds the bucket's configuration in a file, unless
// that is in a Secret of somebody else, and the bucket, if it is a folder.
func assertBucketFile(t *testing.T, r *release, p pod, c *corev1.Container, file string) {
	t.Helper()
	volume := volumeAt(c, file)
	require.NotEmpty(t, volume, "%s, container %s: nothing is mounted for %s", p.name, c.Name, file)
	text, err := os.ReadFile(filepath.Join(r.files(t, p, c), file))
	for _, v := range p.template.Spec.Volumes {
		if v.Name == volume && find[*corev1.Secret](r, v.Secret.SecretName) == nil {
			return
		}
	}
	require.NoError(t, err, "%s, container %s", p.name, c.Name)
	if _, directory, isFolder := strings.Cut(string(text), "directory: "); isFolder {
		directory, _, _ = strings.Cut(directory, "\n")
		assert.NotEmpty(t, volumeAt(c, directory), "%s, container %s: nothing is mounted on %s", p.name, c.Name, directory)
	}
}

// With a bucket no server joins blocks, since the sidecar sends only those that nobody has joined, and
// the querier asks the store gateway. Without one every server joins its blocks, in which queries then find what they seek.
func TestBucketGetsEveryBlock(t *testing.T) {
	inEveryGlobalScenario(t, func(t *testing.T, r *release) {
		_, store, _ := r.component("store")
		for _, s := range r.servers(t) {
			shortest := flagValue(t, s.args, "storage.tsdb.min-block-duration", "")
			assert.Equal(t, shortest, flagValue(t, s.args, "storage.tsdb.max-block-duration", ""), s.name)
			assert.Equal(t, store != nil, shortest == "2h", "%s: blocks of %s", s.name, shortest)
			assert.Equal(t, store != nil, slices.Contains(s.args, "--no-storage.tsdb.allow-overlapping-compaction"), s.name)
		}
		_, _, compact := r.component("compact")
		for name, p := range r.queriers() {
			asks := slices.ContainsFunc(r.endpoints(t, p, p.container(name)), func(e endpoint) bool { return strings.Contains(e.Address, "-thanos-store.") })
			_, shards := r.queriers()["thanos-query-shard"]
			others := shards && name == "thanos-query" // ask it
			assert.Equal(t, store != nil && !others, asks, "whether %s asks the store gateway", name)
		}
		assert.Equal(t, store != nil, compact != nil, "whether there is a compactor")
		if compact != nil {
			assert.Contains(t, compact, "--compact.enable-vertical-compaction", "late samples overlap")
			assert.NotContains(t, flagValues(compact, "deduplication.replica-label"), "shard", "it cannot be undone")
		}
	})
}

// Another configuration of the bucket starts what reads it anew, and nothing else.
func TestBucketConfigurationRestartsItsReaders(t *testing.T) {
	before := mustRender(t, withBucket)
	after := mustRender(t, withBucket, `{objectStorage: {config: {prefix: other}}}`)
	others := byKey(after)
	for _, w := range before.workloads() {
		other := others[keyOf(w)]
		reads := slices.ContainsFunc(w.template.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == "objstore" })
		assert.Equal(t, !reads, assert.ObjectsAreEqual(w.object, other), "%s reads the bucket's configuration: %t", keyOf(w), reads)
	}
}

func TestWrongBucketsAreRefused(t *testing.T) {
	cases := []struct {
		name, values string
		says         []string
	}{
		{"that nobody queries", `{objectStorage: {enabled: true, existingSecret: x}}`, []string{"query.enabled is false", "set query.enabled to true"}},
		{"nowhere", `{create_thanos: true, objectStorage: {enabled: true}}`, []string{"existingSecret", "config", "set one of them"}},
		{"twice", `{create_thanos: true, objectStorage: {enabled: true, existingSecret: x, config: {type: S3}}}`, []string{"both existingSecret and config", "choose one"}},
		{"a type that there is not", `{create_thanos: true, objectStorage: {enabled: true, config: {type: CEPH}}}`, []string{"config.type is \"CEPH\"", "S3", "SWIFT", "FILESYSTEM"}},
		{"no type", `{create_thanos: true, objectStorage: {enabled: true, config: {config: {bucket: x}}}}`, []string{"config.type is", "S3"}},
		{"a key that Thanos does not read", `{create_thanos: true, objectStorage: {enabled: true, config: {type: S3, bucket: x}}}`, []string{"objectStorage.config has bucket", "below config"}},
		{"a folder of each pod", `{create_thanos: true, objectStorage: {enabled: true, config: {type: FILESYSTEM, config: {directory: /bucket}}}}`, []string{"FILESYSTEM", "objectStorage.volume", "ReadWriteMany"}},
		{"a folder in the volume", strings.Replace(withBucket, "directory: /bucket", "directory: /bucket/edge", 1), nil},
		{"a folder elsewhere", strings.Replace(withBucket, "directory: /bucket", "directory: /buckets", 1), []string{"\"/buckets\"", "objectStorage.mountPath", "/bucket"}},
		{"a type in small letters, elsewhere", strings.NewReplacer("FILESYSTEM", "filesystem", "directory: /bucket", "directory: /tmp").Replace(withBucket), []string{"\"/tmp\"", "objectStorage.mountPath"}},
		{"forgotten before it is uploaded", `{create_thanos: true, prometheus: {retention: 5h}, objectStorage: {enabled: true, existingSecret: x}}`, []string{"prometheus.retention is 5h", "6h"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := render(releaseName, c.values)
			if c.says == nil {
				require.NoError(t, err)
				return
			}
			require.Error(t, err)
			for _, words := range c.says {
				assert.Contains(t, err.Error(), words)
			}
		})
	}
}

// fakeS3 starts an S3 service with a bucket in memory, and returns values that name it.
func fakeS3(t *testing.T) string {
	t.Helper()
	memory := s3mem.New()
	require.NoError(t, memory.CreateBucket("metrics"))
	server := httptest.NewServer(gofakes3.New(memory).Server())
	t.Cleanup(server.Close)
	return fmt.Sprintf(`{create_thanos: true, objectStorage: {enabled: true, config: {type: S3, prefix: edge, config:
		{bucket: metrics, endpoint: %q, region: us-east-1, insecure: true, bucket_lookup_type: path, access_key: a, secret_key: b}}}}`,
		strings.TrimPrefix(server.URL, "http://"))
}

// Blocks of a pair reach the bucket, those of late samples too, and the compactor makes one of them, which has
// each sample once; the store gateway answers from that one.
func TestBlocksReachTheBucketAndComeBack(t *testing.T) {
	t.Parallel()
	needsPrograms(t)
	pairs := `{prometheus_replicas: 2, prometheus: {retention: 30d}, thanos: {compact: {extraArgs: ["--consistency-delay=0s"]}, store: {extraArgs: ["--ignore-deletion-marks-delay=0s"]}}}`
	for name, values := range map[string]func(*testing.T) string{
		"a folder":   func(*testing.T) string { return withBucket },
		"S3 service": fakeS3,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, mustRender(t, values(t), withQuerier, pairs))
			servers := c.behind(c.r.name + "-hubring-prometheus")
			require.Len(t, servers, 2)
			var asked []*process
			from := time.Now().Add(-72 * time.Hour).Truncate(8 * time.Hour)
			for _, server := range servers {
				c.put(server, "gw-1", from, 30*time.Second)                    // 4 hours of samples, two blocks
				c.put(server, "gw-1", from.Add(15*time.Second), 5*time.Minute) // late ones of the same time, two blocks
				c.startReady(server, "prometheus")
				asked = append(asked, c.startReady(server, "thanos-sidecar"))
			}
			await(t, "all blocks are in the bucket", func() error { return c.hasBlocks(8, 1) })
			c.start(c.r.name+"-hubring-thanos-compact-0", "thanos-compact")
			await(t, "the blocks of a time are joined", func() error { return c.hasBlocks(2, 2) })
			c.startReady(c.r.name+"-hubring-thanos-store-0", "thanos-store")
			c.startReady(c.r.name+"-hubring-thanos-query-0", "thanos-query")
			all := instant(from.Add(4*time.Hour - time.Second)) // 4 * 120, and 4 * 12 late ones
			all.Set("dedup", "false")
			for _, s := range asked {
				s.end(t) // so that only the bucket can answer
			}
			querier := c.address(c.r.name+"-hubring-thanos-query-0", 10902)
			c.awaitValues(querier, "count_over_time(put[4h])", all, map[string]string{"gw-1": "528"})
			for _, server := range servers {
				c.assertJoinedNothing(server)
			}
		})
	}
}

// assertJoinedNothing asserts that a server, which has been through its blocks, left them as they were.
func (c *cluster) assertJoinedNothing(server string) {
	c.t.Helper()
	been := regexp.MustCompile(`(?m)^prometheus_tsdb_head_gc_duration_seconds_count [1-9]`)
	await(c.t, server+" has been through its blocks", func() error {
		metrics, err := get(c.t.Context(), "http://"+c.address(server, 9090)+"/metrics")
		if err == nil && !been.MatchString(metrics) {
			err = errors.New("not yet")
		}
		return err
	})
	metas, err := filepath.Glob(filepath.Join(c.folder(c.pod(server), "data"), "*", "meta.json"))
	require.NoError(c.t, err)
	assert.Len(c.t, metas, 4, server)
	for _, path := range metas {
		text, err := os.ReadFile(path)
		require.NoError(c.t, err)
		assert.Regexp(c.t, `"level": ?1\b`, string(text), server)
	}
}

// bucketFile returns the file that says where the bucket is.
func (c *cluster) bucketFile() string {
	c.t.Helper()
	p := c.pod(c.r.name + "-hubring-thanos-store-0")
	store := p.container("thanos-store")
	c.layOut(p, store)
	return flagValue(c.t, c.args(p, store), "objstore.config-file", "")
}

// hasBlocks tells whether there are so many blocks of a compaction level in the bucket, at least.
func (c *cluster) hasBlocks(blocks, level int) error {
	out, err := exec.CommandContext(c.t.Context(), filepath.Join(c.programs, "thanos"), "tools", "bucket", "ls", "--output=json", "--objstore.config-file="+c.bucketFile()).Output()
	if err != nil {
		return fmt.Errorf("list the bucket: %w", err)
	}
	found := 0
	for metas := json.NewDecoder(bytes.NewReader(out)); metas.More(); {
		var block struct {
			Compaction struct {
				Level int `json:"level"`
			} `json:"compaction"`
		}
		if err := metas.Decode(&block); err != nil {
			return fmt.Errorf("read what thanos says of a block: %w", err)
		}
		if block.Compaction.Level >= level {
			found++
		}
	}
	if found < blocks {
		return fmt.Errorf("%d of %d blocks: %s", found, blocks, out)
	}
	return nil
}
