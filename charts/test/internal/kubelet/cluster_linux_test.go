package kubelet

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/hubring/hubring/charts/test/internal/container"
	"github.com/hubring/hubring/charts/test/internal/sandbox"
)

// The objects of the tests: inspectors behind a headless Service, with a claim and a ConfigMap.
const (
	statefulSet = `
metadata: {name: web}
spec:
  replicas: 3
  serviceName: web
  podManagementPolicy: Parallel
  volumeClaimTemplates: [{metadata: {name: data}}]
  template:
    metadata: {labels: {app: web}, annotations: {release: "1"}}
    spec:
      terminationGracePeriodSeconds: 20
      securityContext: {runAsUser: 65534, runAsGroup: 65534, runAsNonRoot: true, fsGroup: 65533}
      containers:
        - name: inspector
          image: example.org/inspector:v1@sha256:0
          args: ["--name=$(NAME)", "--other=$(OTHER)", "--cost=$$(NAME)"]
          env:
            - {name: NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
            - {name: ADDRESS, value: "$(NAME).web"}
          ports: [{name: http, containerPort: 8080}]
          readinessProbe: {httpGet: {path: /-/ready, port: http}, failureThreshold: 1}
          securityContext: {readOnlyRootFilesystem: true}
          volumeMounts:
            - {name: data, mountPath: /data}
            - {name: config, mountPath: /config}
      volumes: [{name: config, configMap: {name: config}}]
`
	service   = `{metadata: {name: web}, spec: {clusterIP: None, selector: {app: web}, ports: [{name: http, port: 80, targetPort: http}]}}`
	configMap = `{metadata: {name: config}, data: {ready: "yes", text: first}}`
)

// objectsOf returns the three, after changes to their texts.
func objectsOf(t *testing.T, changes ...string) []Object {
	t.Helper()
	change := strings.NewReplacer(changes...)
	set, svc, config := &appsv1.StatefulSet{}, &corev1.Service{}, &corev1.ConfigMap{}
	require.NoError(t, yaml.UnmarshalStrict([]byte(change.Replace(statefulSet)), set))
	require.NoError(t, yaml.UnmarshalStrict([]byte(change.Replace(service)), svc))
	require.NoError(t, yaml.UnmarshalStrict([]byte(change.Replace(configMap)), config))
	return []Object{set, svc, config}
}

// inCluster runs a test with a cluster that has the objects.
func inCluster(t *testing.T, objects []Object, test func(*testing.T, *Cluster)) {
	t.Helper()
	sandbox.Run(t, nil, func(t *testing.T) {
		program, err := os.Executable()
		require.NoError(t, err)
		c, err := New(Config{
			Dir: t.TempDir(), Namespace: "test", Domain: "cluster.local", ProbeEvery: 20 * time.Millisecond,
			Images: map[string]Image{"example.org/inspector": {Program: program, Path: "/bin/inspector"}},
		})
		require.NoError(t, err)
		t.Cleanup(func() {
			if t.Failed() {
				c.WriteLogs(t.Output(), 20)
			}
			require.NoError(t, c.Close())
		})
		require.NoError(t, c.Apply(objects))
		test(t, c)
	})
}

func settle(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, c.Settle(ctx))
}

func get(t *testing.T, address string) inspection {
	t.Helper()
	resp, err := http.Get("http://" + address)
	require.NoError(t, err)
	defer resp.Body.Close()
	var i inspection
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&i))
	return i
}

func TestContainersFindWhatTheManifestSays(t *testing.T) {
	inCluster(t, objectsOf(t), func(t *testing.T, c *Cluster) {
		settle(t, c)
		found := get(t, "web-1.web.test.svc.cluster.local:8080")
		assert.Equal(t, 1, found.PID)
		if container.ManyUsers() {
			assert.Equal(t, []int{65534, 65534}, []int{found.UID, found.GID})
			assert.Contains(t, found.Groups, 65533)
		}
		for _, capabilities := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"} {
			assert.Equal(t, "0000000000000000", found.Status[capabilities], capabilities)
		}
		assert.Equal(t, "1", found.Status["NoNewPrivs"])
		assert.Equal(t, []string{"/bin/inspector", "--name=web-1", "--other=$(OTHER)", "--cost=$(NAME)"}, found.Args)
		assert.Equal(t, "web-1.web", found.Env["ADDRESS"])
		assert.NotContains(t, found.Env, "HOME", "the host's environment")
		assert.Equal(t, "web-1", found.Hostname)
		assert.NotContains(t, found.Root, "root", "the host's files")
		assert.Contains(t, found.Write, "read-only file system")
		assert.Equal(t, "first", found.Config)
		addrs, err := net.LookupHost("web-1.web.test.svc.cluster.local")
		require.NoError(t, err)
		assert.Equal(t, addrs[0], found.Address)
	})
}

func TestFilesChangeUnderRunningPods(t *testing.T) {
	inCluster(t, objectsOf(t), func(t *testing.T, c *Cluster) {
		settle(t, c)
		require.NoError(t, c.Apply(objectsOf(t, "text: first", "text: second")))
		settle(t, c)
		assert.Equal(t, "second", get(t, "web-0.web.test.svc.cluster.local:8080").Config)
		assert.Equal(t, map[string]int{"web-0": 1, "web-1": 1, "web-2": 1}, c.Lives())
	})
}

// pods of the events that begin with a word, in their order.
func (c *Cluster) eventsOf(what string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	pattern := regexp.MustCompile(`pod (\S+): ` + what)
	var pods []string
	for _, event := range c.events {
		if match := pattern.FindStringSubmatch(event); match != nil {
			pods = append(pods, match[1])
		}
	}
	return pods
}

func TestANewTemplateGoesFromTheHighestPodToTheLowest(t *testing.T) {
	inCluster(t, objectsOf(t), func(t *testing.T, c *Cluster) {
		settle(t, c)
		require.NoError(t, c.Apply(objectsOf(t, `release: "1"`, `release: "2"`)))
		settle(t, c)
		want := []string{"web-2", "web-1", "web-0"}
		assert.Equal(t, want, c.eventsOf("terminating"))
		assert.Equal(t, want, c.eventsOf("made")[3:])
		// Each was ready before the next one went.
		assert.Regexp(t, `(?s)web-2: terminating.*web-2: container inspector: ready is true.*web-1: terminating.*`+
			`web-1: container inspector: ready is true.*web-0: terminating`, strings.Join(c.events, "\n"))
		life, err := os.ReadFile(filepath.Join(c.cfg.Dir, "claims", "data-web-0", "life"))
		require.NoError(t, err)
		assert.Equal(t, "started\nstopped\nstarted\n", string(life), "what is on the claim of web-0")
	})
}

func TestOrderedPodsWaitForTheOneBefore(t *testing.T) {
	objects := objectsOf(t, "podManagementPolicy: Parallel", "podManagementPolicy: OrderedReady")
	inCluster(t, objects, func(t *testing.T, c *Cluster) {
		settle(t, c)
		assert.Equal(t, []string{"web-0", "web-1", "web-2"}, c.eventsOf("container inspector: ready is true"))
		assert.Regexp(t, `(?s)web-0: container inspector: ready is true.*web-1: made.*web-1: container inspector: ready is true.*web-2: made`,
			strings.Join(c.events, "\n"))
	})
}

func TestANumberThatShrinksTakesTheHighestAndKeepsTheirClaims(t *testing.T) {
	inCluster(t, objectsOf(t), func(t *testing.T, c *Cluster) {
		settle(t, c)
		require.NoError(t, c.Apply(objectsOf(t, "replicas: 3", "replicas: 1")))
		settle(t, c)
		assert.ElementsMatch(t, []string{"web-1", "web-2"}, c.eventsOf("gone"))
		require.NoError(t, c.Apply(objectsOf(t, "replicas: 3", "replicas: 2")))
		settle(t, c)
		life, err := os.ReadFile(filepath.Join(c.cfg.Dir, "claims", "data-web-1", "life"))
		require.NoError(t, err)
		assert.Equal(t, "started\nstopped\nstarted\n", string(life))
	})
}

// targets returns what the SRV records of the Service name.
func targets(t *testing.T) []string {
	t.Helper()
	_, records, err := net.DefaultResolver.LookupSRV(t.Context(), "http", "tcp", "web.test.svc.cluster.local")
	require.NoError(t, err)
	var all []string
	for _, r := range records {
		all = append(all, fmt.Sprintf("%s:%d", r.Target, r.Port))
	}
	return all
}

func TestNamesAreOfPodsThatAreReady(t *testing.T) {
	inCluster(t, objectsOf(t, "replicas: 3", "replicas: 2"), func(t *testing.T, c *Cluster) {
		settle(t, c)
		both := []string{"web-0.web.test.svc.cluster.local.:8080", "web-1.web.test.svc.cluster.local.:8080"}
		assert.ElementsMatch(t, both, targets(t))
		require.NoError(t, c.Fail("web-1"))
		assert.Equal(t, both[:1], targets(t))
		_, err := net.LookupHost("web-1.web.test.svc.cluster.local")
		var notFound *net.DNSError
		require.ErrorAs(t, err, &notFound)
		assert.True(t, notFound.IsNotFound)

		require.NoError(t, c.Recover("web-1"))
		settle(t, c)
		assert.ElementsMatch(t, both, targets(t))
		assert.Equal(t, 2, c.Lives()["web-1"])
	})
}

func TestNamesAreOfAllPodsIfTheServiceSaysSo(t *testing.T) {
	objects := objectsOf(t, "replicas: 3", "replicas: 1", `ready: "yes"`, `ready: "no"`, "clusterIP: None", "clusterIP: None, publishNotReadyAddresses: true")
	inCluster(t, objects, func(t *testing.T, c *Cluster) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorContains(t, c.Settle(ctx), "not as they should be: web")
		assert.Equal(t, []string{"web-0.web.test.svc.cluster.local.:8080"}, targets(t))
	})
}

func TestPodsThatCannotStartAreAnError(t *testing.T) {
	for change, want := range map[string]string{
		"runAsUser: 65534/runAsUser: 0": "it would run as root",
		"name: config}}/name: others}}": "there is no ConfigMap/others",
		"inspector:v1/else:v1":          "no such image",
	} {
		t.Run(want, func(t *testing.T) {
			before, after, _ := strings.Cut(change, "/")
			inCluster(t, objectsOf(t, before, after), func(t *testing.T, c *Cluster) {
				require.ErrorContains(t, c.Settle(t.Context()), want)
			})
		})
	}
}

func TestApplyRefusesWhatIsNotKnownHere(t *testing.T) {
	c := &Cluster{}
	err := c.Apply([]Object{&batchv1.Job{}})
	require.ErrorContains(t, err, "a kind that is not known here")
	for _, change := range []string{"httpGet: {path: /-/ready, port: http}/exec: {command: [x]}", "terminationGracePeriodSeconds: 20/hostNetwork: true", "ports: [{name: http, containerPort: 8080}]/envFrom: [{}]"} {
		i := strings.LastIndex(change, "/")
		err := c.Apply(objectsOf(t, change[:i], change[i+1:]))
		require.ErrorContains(t, err, "is not known here", change)
	}
	require.ErrorContains(t, c.Apply(objectsOf(t, "clusterIP: None, ", "")), "must be the same here")
}

func TestExpand(t *testing.T) {
	variables := []variable{{"A", "1"}, {"B", "2"}}
	for text, want := range map[string]string{
		"$(A)-$(B)": "1-2", "$$(A)": "$(A)", "$(C)": "$(C)", "$A": "$A", "a$": "a$", "$(A": "$(A", "$$$(A)": "$1", "": "",
	} {
		assert.Equal(t, want, expand(text, variables), text)
	}
}
