package members_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/hubring/hubring/exporter/members"
)

// clusterDNS answers as the DNS server of a cluster would.
type clusterDNS struct{}

func (clusterDNS) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", []*net.SRV{
		{Target: "edgehub-1.edgehub.monitoring.svc.cluster.local.", Port: 9091},
		{Target: "edgehub-0.edgehub.monitoring.svc.cluster.local.", Port: 9091},
	}, nil
}

func (clusterDNS) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) { return nil, nil }

// The hubs are the pods of a StatefulSet, behind a headless service with a port
// that is named http.
func ExampleDNS() {
	dns := members.DNS{
		Name:     "_http._tcp.edgehub.monitoring.svc.cluster.local.",
		Resolver: clusterDNS{}, // leave it out to ask the system's
	}
	hubs, err := dns.Hubs(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hubs {
		fmt.Println(h.Name, h.URL)
	}
	// Output:
	// edgehub-0.edgehub.monitoring.svc.cluster.local:9091 http://edgehub-0.edgehub.monitoring.svc.cluster.local:9091
	// edgehub-1.edgehub.monitoring.svc.cluster.local:9091 http://edgehub-1.edgehub.monitoring.svc.cluster.local:9091
}

// The hubs are in a file of the format that Prometheus reads its targets from.
// One of them gets twice as many gateways as the others:
//
//	# testdata/hubs.yaml
//	- targets: ["edgehub-0:9091", "edgehub-1:9091"]
//	- targets: ["https://large.example.com/hub"]
//	  labels: {name: "edgehub-2", __weight__: "2"}
func ExampleFile() {
	hubs, err := members.File{Path: "testdata/hubs.yaml"}.Hubs(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hubs {
		fmt.Println(h.Name, h.URL, h.Weight)
	}
	// Output:
	// edgehub-0:9091 http://edgehub-0:9091 1
	// edgehub-1:9091 http://edgehub-1:9091 1
	// edgehub-2 https://large.example.com/hub 2
}

// fixedDNS is a Resolver that knows two hubs.
type fixedDNS struct{}

func (fixedDNS) LookupSRV(context.Context, string, string, string) (string, []*net.SRV, error) {
	return "", []*net.SRV{{Target: "edgehub-0.example.com.", Port: 9091}}, nil
}

func (fixedDNS) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("10.0.0.7"), netip.MustParseAddr("10.0.0.8")}, nil
}

// Each address of the name is a hub.
func ExampleDNS_Hubs() {
	hubs, err := members.DNS{Name: "edgehub.example.com.", Type: "A", Port: 9091, Resolver: fixedDNS{}}.Hubs(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, h := range hubs {
		fmt.Println(h.Name, h.URL)
	}
	// Output:
	// 10.0.0.7:9091 http://10.0.0.7:9091
	// 10.0.0.8:9091 http://10.0.0.8:9091
}

// Config.Validate asks for this, too.
func ExampleDNS_Validate() {
	fmt.Println(members.DNS{Name: "edgehub.example.com.", Type: "A"}.Validate())
	// Output: DNS.Port is 0: records of type A have no port, so it must be set, to 65535 at most
}

// A name server of one's own.
func ExampleResolver() {
	toOurs := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "10.0.0.53:53")
	}
	dns := members.DNS{
		Name:     "_http._tcp.edgehub.example.com.",
		Resolver: &net.Resolver{PreferGo: true, Dial: toOurs},
	}
	fmt.Println(dns.Validate())
	// Output: <nil>
}

// The file has the format of Prometheus' file_sd_configs.
func ExampleFile_Hubs() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "hubs.json")
	if err := os.WriteFile(path, []byte(`[{"targets": ["edgehub-0:9091", "edgehub-1:9091"]}]`), 0o600); err != nil {
		log.Print(err)
		return
	}

	hubs, err := members.File{Path: path}.Hubs(context.Background())
	if err != nil {
		log.Print(err)
		return
	}
	for _, h := range hubs {
		fmt.Println(h.URL)
	}
	// Output:
	// http://edgehub-0:9091
	// http://edgehub-1:9091
}

// Config.Validate asks for this, too. The file may come later.
func ExampleFile_Validate() {
	fmt.Println(members.File{}.Validate())
	fmt.Println(members.File{Path: "not/there/yet.yaml"}.Validate())
	// Output:
	// File.Path is empty: say which file names the hubs
	// <nil>
}

// What the exporter's status page says of it.
func ExampleDNS_Describe() {
	fmt.Println(members.DNS{Name: "edgehub.example.com."}.Describe())
	// Output: dns SRV edgehub.example.com.
}

// What the exporter's status page says of it.
func ExampleFile_Describe() {
	fmt.Println(members.File{Path: "/etc/hubring/hubs.yaml"}.Describe())
	// Output: file /etc/hubring/hubs.yaml
}

// The name comes from the URL.
func ExampleHub_WithDefaults() {
	fmt.Printf("%+v\n", members.Hub{URL: "http://edgehub-0:9091/"}.WithDefaults())
	// Output: {Name:edgehub-0:9091 URL:http://edgehub-0:9091 Weight:1 Placement:}
}

// A hub as it would be used is fit for it, or not.
func ExampleHub_Validate() {
	fmt.Println(members.Hub{URL: "http://edgehub-0:9091"}.WithDefaults().Validate())
	fmt.Println(members.Hub{URL: "edgehub-0:9091"}.WithDefaults().Validate())
	// Output:
	// <nil>
	// URL "edgehub-0:9091" must begin with http:// or https://
}

// What the exporter does with an answer.
func ExampleCheck() {
	_, err := members.Check([]members.Hub{
		{URL: "http://edgehub-1:9091"}, {URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091/"},
	})
	fmt.Println(err)
	// Output: hub "edgehub-1:9091" is named twice
}

// What the hubs say of their ring.
func ExampleMethod() {
	by, err := members.Method([]members.Hub{
		{URL: "http://edgehub-0:9091", Placement: "consistent"}, {URL: "http://edgehub-1:9091", Placement: "consistent"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(by)
	// Output: consistent/partitions=271/replicas=20/load=1.25
}
