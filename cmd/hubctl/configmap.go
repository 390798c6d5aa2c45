package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/prometheus/common/version"

	"github.com/hubring/hubring/hashring/placement"
)

const (
	configMapPrefix = "configmap:"
	// placementKey is the placement's name in a ConfigMap, and that of the file where it is mounted.
	placementKey   = "placement.json"
	serviceAccount = "/var/run/secrets/kubernetes.io/serviceaccount"
	apiTimeout     = 15 * time.Second // for one request
	// maxAPIBytes bounds an answer. A ConfigMap holds 1 MiB, which may be six times as long as a string in JSON.
	maxAPIBytes = 16 << 20
	// maxAPIMessage bounds what of a refusal is passed on.
	maxAPIMessage = 500
)

// store is where exporters have the placement from.
type store interface {
	// Read returns the placement. The error wraps fs.ErrNotExist if there is none yet.
	Read(ctx context.Context) (*placement.Placement, error)
	// Write puts another one in the place of that which was read.
	Write(p *placement.Placement) error
}

var (
	_ store = placement.File("")
	_ store = (*configMap)(nil)
)

// openStore returns the store that an argument means: a file, or configmap: and the name of a ConfigMap.
func openStore(argument, account string) (store, error) {
	name, is := strings.CutPrefix(argument, configMapPrefix)
	if !is {
		return placement.File(argument), nil
	}
	if !objectName.MatchString(name) {
		return nil, usageError{fmt.Errorf("%.100q is no name of a ConfigMap", name)}
	}
	return newConfigMap(name, account)
}

// objectName is how Kubernetes names things, so that none leads to another path.
var objectName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$`)

// configMap is a ConfigMap in the pod's own namespace, which the Kubernetes API has. It is
// for one goroutine, and Read comes before Write.
type configMap struct {
	url     string
	name    string
	account string // the folder of the pod's service account
	client  *http.Client
	object  map[string]json.RawMessage // as it was read
}

func newConfigMap(name, account string) (*configMap, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, usageError{errors.New("a ConfigMap is read and written from within a pod: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set")}
	}
	namespace, err := accountFile(account, "namespace")
	if err != nil {
		return nil, err
	}
	if !objectName.MatchString(namespace) {
		return nil, fmt.Errorf("read the service account: %.100q is no namespace", namespace)
	}
	authority, err := accountFile(account, "ca.crt")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(authority)) {
		return nil, errors.New("read the service account: ca.crt has no certificate")
	}
	return &configMap{
		url:     fmt.Sprintf("https://%s/api/v1/namespaces/%s/configmaps/%s", net.JoinHostPort(host, port), namespace, name),
		name:    name,
		account: account,
		client: &http.Client{
			Timeout:   apiTimeout,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
			// The token is for nobody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// accountFile reads a file of the service account. One that is not there is no missing placement, so the
// error does not wrap that of the file system.
func accountFile(account, name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(account, name))
	if err != nil {
		return "", errors.New("read the service account: " + err.Error())
	}
	return strings.TrimSpace(string(text)), nil
}

// Read implements store. A ConfigMap that has no placement was made for one that is yet to come.
func (m *configMap) Read(ctx context.Context) (*placement.Placement, error) {
	p, err := m.read(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the placement of ConfigMap %s: %w", m.name, err)
	}
	return p, nil
}

func (m *configMap) read(ctx context.Context) (*placement.Placement, error) {
	answer, err := m.do(ctx, http.MethodGet, nil)
	if err != nil {
		return nil, err
	}
	m.object = nil
	if err := json.Unmarshal(answer, &m.object); err != nil || m.object == nil {
		return nil, fmt.Errorf("what the API answers is no object, it begins with %.100q", answer)
	}
	data, err := m.data()
	if err != nil {
		return nil, err
	}
	content, there := data[placementKey]
	if !there {
		return nil, fmt.Errorf("key %s: %w", placementKey, fs.ErrNotExist)
	}
	return placement.Parse([]byte(content))
}

func (m *configMap) data() (data map[string]string, err error) {
	if text, there := m.object["data"]; there {
		if err := json.Unmarshal(text, &data); err != nil {
			return nil, fmt.Errorf("its data are no texts: %w", err)
		}
	}
	if data == nil {
		data = map[string]string{}
	}
	return data, nil
}

// Write implements store. All else that is in the ConfigMap stays as it was read, its resourceVersion, too: by that the
// API refuses to write over what somebody else has written since.
func (m *configMap) Write(p *placement.Placement) error {
	if err := m.write(p.Text()); err != nil {
		return fmt.Errorf("write the placement of ConfigMap %s: %w", m.name, err)
	}
	return nil
}

func (m *configMap) write(content []byte) error {
	data, err := m.data()
	if err != nil {
		return err
	}
	data[placementKey] = string(content)
	if m.object["data"], err = json.Marshal(data); err != nil {
		return err
	}
	object, err := json.Marshal(m.object)
	if err != nil {
		return err
	}
	// What is under way is not given up when the pod stops, or nobody would know whether it was done.
	_, err = m.do(context.Background(), http.MethodPut, object)
	return err
}

// do asks the API for one thing, and returns the answer if that is 200.
func (m *configMap) do(ctx context.Context, method string, object []byte) ([]byte, error) {
	token, err := accountFile(m.account, "token") // each time, since it is renewed
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, m.url, bytes.NewReader(object))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "hubctl/"+version.Version) // by which the API names who manages a field
	if object != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := m.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAPIBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	case resp.StatusCode == http.StatusConflict:
		return nil, fmt.Errorf("somebody else has changed it meanwhile, so it is left as it is until the next run: %w", refusal(resp, answer))
	case resp.StatusCode != http.StatusOK:
		return nil, refusal(resp, answer)
	case len(answer) > maxAPIBytes:
		return nil, fmt.Errorf("the answer has more than %d bytes", maxAPIBytes)
	}
	return answer, nil
}

// refusal is what the API says of a request that it does not fulfil.
func refusal(resp *http.Response, answer []byte) error {
	var status struct {
		Message string `json:"message"`
	}
	if err := json.Unmarshal(answer, &status); err != nil || status.Message == "" {
		status.Message = string(bytes.TrimSpace(answer)) // a proxy's page, say
	}
	return fmt.Errorf("%s: %.*s", resp.Status, maxAPIMessage, strings.ToValidUTF8(status.Message, "?"))
}
