package exporter_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/netip"

	"github.com/hubring/hubring/exporter"
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
	members := exporter.DNS{
		Name:     "_http._tcp.edgehub.monitoring.svc.cluster.local.",
		Resolver: clusterDNS{}, // leave it out to ask the system's
	}
	hubs, err := members.Hubs(context.Background())
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
	hubs, err := exporter.File{Path: "testdata/hubs.yaml"}.Hubs(context.Background())
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
