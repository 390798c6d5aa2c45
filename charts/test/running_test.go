package charttest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
)

// cluster runs containers of a release as processes on the loopback, with the command lines
// and files that the release gives them. What a cluster does is written into them: names
// of pods become addresses, ports become free ones, mounts become folders.
type cluster struct {
	t        *testing.T
	r        *release
	programs string
	root     string              // the folders of the volumes
	ports    map[string]int      // by pod and container port
	edit     func(string) string // of every file that the release has; may be nil
}

func newCluster(t *testing.T, r *release) *cluster {
	t.Helper()
	return &cluster{t: t, r: r, programs: needsPrograms(t), root: t.TempDir(), ports: map[string]int{}}
}

// pod returns the pod of that name.
func (c *cluster) pod(name string) pod {
	c.t.Helper()
	for _, w := range c.r.workloads() {
		for i := range w.replicas { // a Deployment's pods are numbered here, too
			if fmt.Sprintf("%s-%d", w.GetName(), i) == name {
				return pod{name, w}
			}
		}
	}
	require.Fail(c.t, "no such pod", name)
	return pod{}
}

// address returns where a container port of a pod is on the loopback.
func (c *cluster) address(podName string, port int) string {
	key := podName + ":" + strconv.Itoa(port)
	if c.ports[key] == 0 {
		_, free, err := net.SplitHostPort(freeAddress(c.t))
		require.NoError(c.t, err)
		c.ports[key], err = strconv.Atoi(free)
		require.NoError(c.t, err)
	}
	return "127.0.0.1:" + strconv.Itoa(c.ports[key])
}

var (
	ofNames   = regexp.MustCompile(`((?:[a-z0-9-]+\.)?)([a-z0-9-]+)\.` + namespace + `\.svc[a-z0-9.-]*:(\d+)`)
	ofOneself = regexp.MustCompile(`localhost:(\d+)`)
	listens   = regexp.MustCompile(`^(--[a-zA-Z.-]+=):(\d+)$`)
)

// local replaces the addresses in a text that a pod reads.
func (c *cluster) local(p pod, text string) string {
	text = ofNames.ReplaceAllStringFunc(text, func(match string) string {
		parts := ofNames.FindStringSubmatch(match)
		port, _ := strconv.Atoi(parts[3])
		name := strings.TrimSuffix(parts[1], ".")
		if name == "" {
			name = c.behind(parts[2])[0]
		}
		return c.address(name, port)
	})
	return ofOneself.ReplaceAllStringFunc(text, func(match string) string {
		port, _ := strconv.Atoi(ofOneself.FindStringSubmatch(match)[1])
		return c.address(p.name, port)
	})
}

// behind returns the names of the pods behind a Service.
func (c *cluster) behind(service string) []string {
	s := find[*corev1.Service](c.r, service)
	require.NotNil(c.t, s, "Service %s", service)
	names := podNames(c.r.behind(s))
	require.NotEmpty(c.t, names, "pods behind %s", service)
	return names
}

// args returns a container's command line on the loopback.
func (c *cluster) args(p pod, container *corev1.Container) []string {
	folders := c.replacer(p, container)
	var args []string
	for _, arg := range p.commandLine(container) {
		if match := listens.FindStringSubmatch(arg); match != nil {
			port, _ := strconv.Atoi(match[2])
			arg = match[1] + c.address(p.name, port)
		}
		args = append(args, folders.Replace(c.local(p, arg)))
	}
	return args
}

// named returns the number of a pod's port.
func (c *cluster) named(podName, port string) int {
	for _, container := range c.pod(podName).containers() {
		for _, has := range container.Ports {
			if has.Name == port {
				return int(has.ContainerPort)
			}
		}
	}
	require.Fail(c.t, "no such port", "%s of %s", port, podName)
	return 0
}

// replacer replaces the container's mounts by folders, where a path begins: /alertmanager is no mount
// in /etc/alertmanager.
func (c *cluster) replacer(p pod, container *corev1.Container) *strings.Replacer {
	mounts := slices.Clone(container.VolumeMounts)
	slices.SortFunc(mounts, func(a, b corev1.VolumeMount) int { return len(b.MountPath) - len(a.MountPath) })
	var pairs []string
	for _, mount := range mounts {
		for _, before := range []string{"=", " ", `"`, "'", "[", "file://"} {
			pairs = append(pairs, before+mount.MountPath, before+c.folder(p, mount.Name))
		}
	}
	return strings.NewReplacer(pairs...)
}

// folder returns where a volume of a pod is. What the pod does not have to itself is there once.
func (c *cluster) folder(p pod, volume string) string {
	for _, v := range p.template.Spec.Volumes {
		if v.Name == volume && v.ConfigMap == nil && v.Secret == nil && v.Projected == nil && v.EmptyDir == nil {
			return filepath.Join(c.root, "shared", volume)
		}
	}
	return filepath.Join(c.root, p.name, volume)
}

// layOut writes the files of a container's volumes.
func (c *cluster) layOut(p pod, container *corev1.Container) {
	folders := c.replacer(p, container)
	for _, mount := range container.VolumeMounts {
		folder := c.folder(p, mount.Name)
		require.NoError(c.t, os.MkdirAll(folder, 0o755))
		for _, v := range p.template.Spec.Volumes {
			if v.Name != mount.Name {
				continue
			}
			for name, text := range c.r.contentOf(v.VolumeSource) {
				text = folders.Replace(c.local(p, text))
				if c.edit != nil {
					text = c.edit(text)
				}
				require.NoError(c.t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
			}
		}
	}
}

// put makes blocks that a server finds when it starts.
func (c *cluster) put(server, gateway string, from time.Time, every time.Duration) {
	c.t.Helper()
	c.blocks(c.folder(c.pod(server), "data"), gateway, from, every)
}

// blocks makes blocks with a series of a gateway, a sample with the value 1 every so often for four hours.
func (c *cluster) blocks(folder, gateway string, from time.Time, every time.Duration) {
	c.t.Helper()
	var text strings.Builder
	for at := from; at.Before(from.Add(4 * time.Hour)); at = at.Add(every) {
		fmt.Fprintf(&text, "put{gatewayID=%q} 1 %d\n", gateway, at.Unix())
	}
	text.WriteString("# EOF\n")
	file := filepath.Join(c.t.TempDir(), "samples")
	require.NoError(c.t, os.WriteFile(file, []byte(text.String()), 0o600))
	mustRun(c.t, filepath.Join(c.programs, "promtool"), "tsdb", "create-blocks-from", "openmetrics", "-q", file, folder)
}

// process is a container that runs.
type process struct {
	name string
	cmd  *exec.Cmd
	log  *os.File
}

// start starts a container of a pod, with more arguments behind its own.
func (c *cluster) start(podName, container string, more ...string) *process {
	c.t.Helper()
	p := c.pod(podName)
	all := p.containers()
	at := slices.IndexFunc(all, func(has corev1.Container) bool { return has.Name == container })
	require.GreaterOrEqual(c.t, at, 0, "%s has no container %s", podName, container)
	spec := &all[at]
	c.layOut(p, spec)
	path := pathOf(c.t, c.programs, programOf(*spec))
	log, err := os.Create(filepath.Join(c.root, podName+"-"+container+".log"))
	require.NoError(c.t, err)
	cmd := exec.Command(path, append(c.args(p, spec), more...)...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, c.root
	for _, v := range spec.Env {
		if v.Value != "" {
			cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
		}
	}
	require.NoError(c.t, cmd.Start())
	s := &process{podName + "/" + container, cmd, log}
	c.t.Cleanup(func() { s.end(c.t) })
	return s
}

// runFirst runs an init container to its end.
func (c *cluster) runFirst(podName, container string, more ...string) {
	c.t.Helper()
	s := c.start(podName, container, more...)
	require.NoError(c.t, s.cmd.Wait(), "%s/%s", podName, container)
}

// startReady starts a container and waits until its readiness probe is content.
func (c *cluster) startReady(podName, container string, more ...string) *process {
	c.t.Helper()
	s := c.start(podName, container, more...)
	c.awaitReady(podName, container)
	return s
}

func (c *cluster) awaitReady(podName, container string) {
	c.t.Helper()
	probe := c.pod(podName).container(container).ReadinessProbe.HTTPGet
	port := int(probe.Port.IntVal)
	if probe.Port.StrVal != "" {
		port = c.named(podName, probe.Port.StrVal)
	}
	at := "http://" + c.address(podName, port) + probe.Path
	await(c.t, podName+"/"+container+" is ready", func() error {
		_, err := get(c.t.Context(), at)
		return err
	})
}

// end stops a process, at once, and shows its log if the test failed.
func (s *process) end(t *testing.T) {
	if s.cmd.ProcessState != nil {
		return
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	_ = s.log.Close()
	if t.Failed() {
		said, _ := os.ReadFile(s.log.Name())
		t.Logf("%s %q said:\n%s", s.name, s.cmd.Args, said[max(0, len(said)-1500):])
	}
}

// rulekeeperProgram returns the path of the rule keeper, built from the checkout.
var rulekeeperProgram = builtOnce("rulekeeper")

// hubqueryProgram returns the path of hubquery, built from the checkout as its image is, since it takes long to build.
var hubqueryProgram = sync.OnceValues(func() (string, error) { return buildCommand("hubquery") })

// await tries until there is no error. Real programs say nothing when they are done.
func await(t *testing.T, what string, try func() error) {
	t.Helper()
	var err error
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); <-tick.C {
		if err = try(); err == nil {
			return
		}
	}
	require.NoError(t, err, "after %s: %s", patience, what)
}

// get returns the body of a 200.
func get(ctx context.Context, at string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil {
		return "", fmt.Errorf("read %s: %w", at, err)
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", at, resp.Status, body.String())
	}
	return body.String(), nil
}

// answer is a query's.
type answer struct {
	Warnings []string `json:"warnings"`
	Data     struct {
		Result []struct {
			Metric map[string]string `json:"metric"`
			Value  [2]any            `json:"value"`
		} `json:"result"`
	} `json:"data"`
}

// values returns the values by one label of their series.
func (a answer) values(label string) map[string]string {
	by := map[string]string{}
	for _, r := range a.Data.Result {
		by[r.Metric[label]] = fmt.Sprint(r.Value[1])
	}
	return by
}

// query asks a PromQL API.
func query(ctx context.Context, address, expr string, more url.Values) (answer, error) {
	values := url.Values{"query": {expr}}
	for name, of := range more {
		values[name] = of
	}
	var a answer
	body, err := get(ctx, "http://"+address+"/api/v1/query?"+values.Encode())
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		return a, fmt.Errorf("read the answer to %s: %w", expr, err)
	}
	return a, nil
}
