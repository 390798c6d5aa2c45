package charttest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// apiCluster is a real Kubernetes API server with its etcd, on the loopback. It has no
// nodes and no controllers: it takes objects or refuses them, and keeps them.
type apiCluster struct {
	config *rest.Config // warnings go to the recorder in a request's context
	typed  kubernetes.Interface
	any    dynamic.Interface
	mapper meta.RESTMapper
}

// apiServer returns the one API server of the test binary, which TestMain stops.
var apiServer = sync.OnceValues(func() (*apiCluster, error) {
	programs, err := clusterPrograms()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	config, err := startAPIServer(ctx, programs)
	if err != nil {
		return nil, err
	}
	c, err := clientsOf(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("prepare the API server: %w", err)
	}
	return c, nil
})

// needsAPIServer leaves a test out where only what needs no program is to run.
func needsAPIServer(t *testing.T) *apiCluster {
	t.Helper()
	return needs(t, apiServer)
}

// attempts is how often a start is tried: between the choice of a port and its use
// another process may take it.
const attempts = 3

func startAPIServer(ctx context.Context, programs string) (*rest.Config, error) {
	var tried []error
	for range attempts {
		config, err := tryAPIServer(ctx, programs)
		if err == nil {
			return config, nil
		}
		tried = append(tried, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, fmt.Errorf("start the API server: %w", errors.Join(tried...))
}

const token = "only-for-tests"

func tryAPIServer(ctx context.Context, programs string) (*rest.Config, error) {
	dir, err := os.MkdirTemp(ownFolder, "apiserver")
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	flags, err := apiServerFlags(dir, "http://"+ports[0], ports[2])
	if err != nil {
		return nil, err
	}
	config := &rest.Config{
		Host: "https://" + ports[2], BearerToken: token, QPS: -1, // no limit
		TLSClientConfig:           rest.TLSClientConfig{Insecure: true}, // it signs its own certificate
		WarningHandlerWithContext: recordingWarnings{},
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	etcd, err := startReady(ctx, dir, http.DefaultClient, "http://"+ports[0]+"/readyz", filepath.Join(programs, "etcd"), etcdFlags(dir, ports[0], ports[1])...)
	if err != nil {
		return nil, err
	}
	server, err := startReady(ctx, dir, client, config.Host+"/readyz", filepath.Join(programs, "kube-apiserver"), flags...)
	if err != nil {
		return nil, errors.Join(err, etcd.stop())
	}
	running = append(running, server, etcd)
	return config, nil
}

func etcdFlags(dir, client, peer string) []string {
	return []string{
		"--data-dir=" + filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://" + client, "--advertise-client-urls=http://" + client,
		"--listen-peer-urls=http://" + peer, "--initial-advertise-peer-urls=http://" + peer,
		"--initial-cluster=default=http://" + peer,
	}
}

// apiServerFlags writes the files that the server needs, and names them.
func apiServerFlags(dir, etcd, address string) ([]string, error) {
	key, tokens := filepath.Join(dir, "service-accounts.pem"), filepath.Join(dir, "tokens.csv")
	if err := writeKey(key); err != nil {
		return nil, err
	}
	if err := os.WriteFile(tokens, []byte(token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return []string{
		"--etcd-servers=" + etcd, "--bind-address=" + host, "--advertise-address=" + host, "--secure-port=" + port,
		"--cert-dir=" + filepath.Join(dir, "certs"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + key, "--service-account-key-file=" + key,
		"--token-auth-file=" + tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		// No controller is there to make the accounts that it asks for.
		"--disable-admission-plugins=ServiceAccount",
		"--endpoint-reconciler-type=none",
	}, nil
}

// writeKey writes a new key that could sign the tokens of service accounts.
func writeKey(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// freePorts returns addresses on the loopback that nobody listened on a moment ago.
func freePorts(n int) ([]string, error) {
	var addresses []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("look for a free port: %w", err)
		}
		defer l.Close() // all at the end, so that none is found twice
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}

// apiProcess is a server that these tests started.
type apiProcess struct {
	cmd    *exec.Cmd
	log    string        // file of what it says
	exited chan struct{} // closed when the process has ended
}

// running are the servers that stopServers is to stop, in that order.
var running []*apiProcess

// stopServers stops what the tests share.
func stopServers() error {
	var failed []error
	for _, s := range running {
		failed = append(failed, s.stop())
	}
	running = nil
	return errors.Join(failed...)
}

// startReady starts a server and returns when it answers 200 at url.
func startReady(ctx context.Context, dir string, client *http.Client, url, program string, args ...string) (*apiProcess, error) {
	s, err := startProcess(dir, program, args...)
	if err != nil {
		return nil, err
	}
	if err := s.ready(ctx, client, url); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func startProcess(dir, program string, args ...string) (*apiProcess, error) {
	log, err := os.Create(filepath.Join(dir, filepath.Base(program)+".log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(program), err)
	}
	s := &apiProcess{cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	go func() {
		defer close(s.exited)
		_ = cmd.Wait() // how it ended is of no interest, only that it did
	}()
	return s, nil
}

// ready returns when the server answers 200 at url; it is an error if it ends before.
func (s *apiProcess) ready(ctx context.Context, client *http.Client, url string) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := apiGet(ctx, client, url)
		if err == nil {
			return nil
		}
		select {
		case <-s.exited:
			return fmt.Errorf("%s ended: %s", filepath.Base(s.cmd.Path), s.said())
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", filepath.Base(s.cmd.Path), err, s.said())
		case <-tick.C:
		}
	}
}

func apiGet(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s from %s: %s", resp.Status, url, body)
	}
	return nil
}

// said returns the end of what the server has written.
func (s *apiProcess) said() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-3000):])
}

// stop asks the server to stop, and kills it if it does not.
func (s *apiProcess) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.exited:
		return nil
	case <-time.After(10 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.exited
		return fmt.Errorf("%s did not stop when told", filepath.Base(s.cmd.Path))
	}
}

// clientsOf returns the clients of a new API server, in which the operator's kinds are known.
func clientsOf(ctx context.Context, config *rest.Config) (*apiCluster, error) {
	c := &apiCluster{config: config}
	var err error
	if c.typed, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	if c.any, err = dynamic.NewForConfig(config); err != nil {
		return nil, err
	}
	if err := installOperatorKinds(ctx, c.any); err != nil {
		return nil, err
	}
	if c.mapper, err = mapperWith(ctx, c.typed.Discovery(), operatorKinds); err != nil {
		return nil, fmt.Errorf("ask what kinds there are: %w", err)
	}
	return c, nil
}

// mapperWith returns where objects of each kind are posted, as soon as the server lists the
// wanted kinds: it lists those that are installed a moment after it takes them.
func mapperWith(ctx context.Context, from discovery.DiscoveryInterface, wanted []string) (meta.RESTMapper, error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		groups, err := restmapper.GetAPIGroupResources(from)
		if err != nil {
			return nil, err
		}
		mapper := restmapper.NewDiscoveryRESTMapper(groups)
		missing := slices.IndexFunc(wanted, func(resource string) bool {
			_, err := mapper.KindFor(schema.GroupVersionResource{Group: operatorGroup, Resource: resource})
			return err != nil
		})
		if missing < 0 {
			return mapper, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is not listed: %w", wanted[missing], ctx.Err())
		case <-tick.C:
		}
	}
}

// newNamespace makes a namespace that admits restricted pods only, and warns of
// templates that would make others.
func (c *apiCluster) newNamespace(t *testing.T) string {
	t.Helper()
	made, err := c.typed.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		GenerateName: "charttest-",
		Labels: map[string]string{
			"pod-security.kubernetes.io/enforce": "restricted",
			"pod-security.kubernetes.io/warn":    "restricted",
		},
	}}, metav1.CreateOptions{})
	require.NoError(t, err)
	return made.Name
}

// addPriority makes a priority class, unless there is one of that name: pods that
// name one which is not there are refused.
func (c *apiCluster) addPriority(t *testing.T, name string) {
	t.Helper()
	_, err := c.typed.SchedulingV1().PriorityClasses().Create(t.Context(),
		&schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: 1000}, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		require.NoError(t, err)
	}
	// Who admits pods looks into a copy, which comes a moment later.
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "of-a-class"},
		Spec:       corev1.PodSpec{PriorityClassName: name, Containers: []corev1.Container{{Name: "c", Image: "i"}}},
	}
	require.Eventually(t, func() bool {
		_, err := c.typed.CoreV1().Pods(metav1.NamespaceDefault).Create(t.Context(), pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err == nil || !strings.Contains(err.Error(), "no PriorityClass with name "+name)
	}, 10*time.Second, 10*time.Millisecond)
}

// tryCreate asks the server whether it would take an object into a namespace. What it
// warns about is an error, too.
func (c *apiCluster) tryCreate(ctx context.Context, in string, o map[string]any) error {
	object := &unstructured.Unstructured{Object: o}
	kind := object.GroupVersionKind()
	mapping, err := c.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if err != nil {
		return err
	}
	var target dynamic.ResourceInterface = c.any.Resource(mapping.Resource)
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		object.SetNamespace(in)
		target = c.any.Resource(mapping.Resource).Namespace(in)
	}
	ctx, warnings := recordWarnings(ctx)
	_, err = target.Create(ctx, object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	return errors.Join(err, warnings.err())
}

// warnings are what a server said beside its answers.
type warnings struct {
	mu   sync.Mutex
	said []string // guarded by mu
}

type warningsKey struct{}

// recordWarnings returns a context for requests whose warnings are recorded.
func recordWarnings(ctx context.Context) (context.Context, *warnings) {
	w := &warnings{}
	return context.WithValue(ctx, warningsKey{}, w), w
}

func (w *warnings) err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.said) == 0 {
		return nil
	}
	return fmt.Errorf("the server warns: %s", strings.Join(w.said, "; "))
}

// HandleWarningHeader makes the recorder a handler of requests that have no context of ours.
func (w *warnings) HandleWarningHeader(_ int, _, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, text)
}

// recordingWarnings gives each warning to the recorder in its request's context.
type recordingWarnings struct{}

func (recordingWarnings) HandleWarningHeaderWithContext(ctx context.Context, code int, agent, text string) {
	if w, ok := ctx.Value(warningsKey{}).(*warnings); ok {
		w.HandleWarningHeader(code, agent, text)
	}
}

// A server that ends, since another process took its port, is not waited for: the start
// is tried again.
func TestAServerThatEndsIsNotWaitedFor(t *testing.T) {
	ports, err := freePorts(1)
	require.NoError(t, err)
	_, err = startReady(t.Context(), t.TempDir(), http.DefaultClient, "http://"+ports[0], "/bin/sh", "-c", "echo in use; exit 1")
	require.EqualError(t, err, "sh ended: in use\n")
}
