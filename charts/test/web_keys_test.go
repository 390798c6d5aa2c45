package charttest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// keys are those of a release: an authority, a certificate of all servers and one of all clients,
// and the password's hash.
type keys struct {
	ca, server, serverKey, member, memberKey []byte // PEM
	hash                                     string
}

func newKeys(t *testing.T) keys {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	require.NoError(t, err)
	k := keys{ca: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
	sign := func(usage x509.ExtKeyUsage, names ...string) (certificate, itsKey []byte) {
		own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		template := &x509.Certificate{
			SerialNumber: big.NewInt(int64(usage)), Subject: pkix.Name{CommonName: "part"}, NotAfter: time.Now().Add(time.Hour),
			DNSNames: names, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		}
		der, err := x509.CreateCertificate(rand.Reader, template, authority, own.Public(), key)
		require.NoError(t, err)
		keyDER, err := x509.MarshalPKCS8PrivateKey(own)
		require.NoError(t, err)
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	}
	k.server, k.serverKey = sign(x509.ExtKeyUsageServerAuth, sharedName)
	k.member, k.memberKey = sign(x509.ExtKeyUsageClientAuth)
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	require.NoError(t, err)
	k.hash = string(hash)
	return k
}

// webConfig returns what a web.yml has that fits the values.
func (k keys) webConfig(t *testing.T, values string) map[string]any {
	t.Helper()
	var of struct {
		Web struct {
			TLS, ClientCertificate bool
			Username               string
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(values), &of))
	config := map[string]any{}
	if of.Web.TLS {
		served := map[string]string{"cert_file": "server.crt", "key_file": "server.key"}
		if of.Web.ClientCertificate {
			served["client_auth_type"], served["client_ca_file"] = "RequireAndVerifyClientCert", "ca.crt"
		}
		config["tls_server_config"] = served
	}
	if of.Web.Username != "" {
		config["basic_auth_users"] = map[string]string{of.Web.Username: k.hash}
	}
	return config
}

// addTo adds the Secrets that the values name: web-config, web-client, and web-push, with which senders log in as sender.
func (k keys) addTo(r *release, config map[string]any) {
	text, err := yaml.Marshal(config)
	if err != nil {
		panic(err) // strings in maps
	}
	secret := func(name string, data map[string][]byte) {
		r.objects = append(r.objects, &corev1.Secret{
			TypeMeta: metav1.TypeMeta{Kind: "Secret", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data,
		})
	}
	secret("web-config", map[string][]byte{"web.yml": text, "server.crt": k.server, "server.key": k.serverKey, "ca.crt": k.ca})
	pushText, err := yaml.Marshal(map[string]any{"basic_auth_users": map[string]string{sender: k.hash}})
	if err != nil {
		panic(err) // strings in maps
	}
	secret("web-push", map[string][]byte{"web.yml": pushText})
	secret("web-client", map[string][]byte{"ca.crt": k.ca, "tls.crt": k.member, "tls.key": k.memberKey, "password": []byte(password + "\n")})
}

// client returns a visitor with the client's certificate, who logs in or does not.
func (k keys) client(t *testing.T, logsIn bool) visitor {
	t.Helper()
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(k.ca))
	certificate, err := tls.X509KeyPair(k.member, k.memberKey)
	require.NoError(t, err)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: sharedName, Certificates: []tls.Certificate{certificate}}}
	t.Cleanup(transport.CloseIdleConnections)
	v := visitor{client: &http.Client{Transport: transport}}
	if logsIn {
		v.user = user
	}
	return v
}

// visitor asks servers.
type visitor struct {
	client *http.Client
	user   string // who logs in; nobody if it is empty
}

func (v visitor) send(ctx context.Context, method, at, body string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, at, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	if v.user != "" {
		req.SetBasicAuth(v.user, password)
	}
	resp, err := v.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

// status returns an error if the answer has another one.
func (v visitor) status(ctx context.Context, at string, want int) error {
	return v.request(ctx, http.MethodGet, at, want)
}

func (v visitor) request(ctx context.Context, method, at string, want int) error {
	status, text, err := v.send(ctx, method, at, "")
	if err == nil && status != want {
		err = fmt.Errorf("%s %s: %d: %s, want %d", method, at, status, text, want)
	}
	return err
}

// do decodes the answer, which must be a 200, unless into is nil.
func (v visitor) do(ctx context.Context, method, at, body string, into any) error {
	status, text, err := v.send(ctx, method, at, body)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s %s: %d: %s", method, at, status, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}

func (v visitor) query(ctx context.Context, base, expr string) (answer, error) {
	var a answer
	err := v.do(ctx, http.MethodGet, base+"/api/v1/query?"+url.Values{"query": {expr}}.Encode(), "", &a)
	return a, err
}

// grpcHealth asks what a gRPC probe of Kubernetes does: grpc.health.v1.Health/Check with an empty request,
// to which the answer is status 1, SERVING.
func grpcHealth(ctx context.Context, address string) error {
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+"/grpc.health.v1.Health/Check", bytes.NewReader(make([]byte, 5)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if want := []byte{0, 0, 0, 0, 2, 8, 1}; !bytes.Equal(got, want) {
		return fmt.Errorf("%s: health %v, trailer %v, want %v", address, got, resp.Trailer, want)
	}
	return nil
}
