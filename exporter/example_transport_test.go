package exporter_test

import (
	"crypto/tls"
	"crypto/x509"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/exportertest"
)

// Hubs with certificates of the company's own. A certificate of the exporter's would be in
// Certificates, and InsecureSkipVerify has no place here: whoever answers gets the samples.
func ExampleConfig_tls() {
	hub := exportertest.NewHub()
	server := httptest.NewTLSServer(hub)
	defer server.Close()
	defer hub.Close()
	authorities := x509.NewCertPool()
	authorities.AddCert(server.Certificate()) // or AppendCertsFromPEM

	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = &tls.Config{RootCAs: authorities}
	transport.MaxIdleConnsPerHost = 4 // Senders and 2 keep their connections
	defer transport.CloseIdleConnections()
	e, stop := startExporter(exporter.Config{Hubs: []exporter.Hub{{URL: server.URL}}, Transport: transport})
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	stop()
	show(hub)
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}

// withToken is a transport that says who sends. The token is asked for each request, so that it may
// be renewed. SetBasicAuth, or any other header, goes the same way.
type withToken struct {
	next  http.RoundTripper
	token func() string
}

// RoundTrip implements http.RoundTripper.
func (t withToken) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context()) // a request is not the transport's to change
	req.Header.Set("Authorization", "Bearer "+t.token())
	return t.next.RoundTrip(req)
}

// Hubs behind a proxy that asks for a token.
func ExampleConfig_headers() {
	hub := exportertest.NewHub()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		hub.ServeHTTP(w, req)
	}))
	defer server.Close()
	defer hub.Close()

	e, stop := startExporter(exporter.Config{
		Hubs:      []exporter.Hub{{URL: server.URL}},
		Transport: withToken{http.DefaultTransport, func() string { return "secret" }},
	})
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	stop()
	show(hub)
	// Output: load{gatewayID="gw-0017",networkID="net1"} 0.5
}
