package exporter_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring/consistent"
)

// What a controller of a large fleet might set. All other fields have defaults.
func ExampleConfig() {
	cfg := exporter.Config{
		Members:       members.DNS{Name: "_http._tcp.edgehub.monitoring.svc.cluster.local."},
		MaxQueueBytes: 512 << 20,
		SpoolDir:      "/var/lib/controller/exporter",
		SpoolBytes:    20 << 30,
		PushTimeout:   5 * time.Second,
	}
	fmt.Println(cfg.Validate())
	// Output: <nil>
}

// Gateways are placed by the circle of buraksezer/consistent, with these parameters.
func ExampleConfig_ring() {
	cfg := exporter.Config{
		Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}},
		Ring: consistent.Config{PartitionCount: 20_011, ReplicationFactor: 200}.Ring,
	}
	fmt.Println(cfg.Validate())
	// Output: <nil>
}

// Labels tell the samples of several controllers apart.
func ExampleConfig_labels() {
	hub, url, stopHub := startHub()
	defer stopHub()
	e, stop := startExporter(exporter.Config{
		Hubs:   []exporter.Hub{{URL: url}},
		Labels: map[string]string{"cluster": "eu-1"},
	})
	if err := e.Submit(ctx, report("gw-0017")); err != nil {
		log.Print(err)
	}
	stop()
	show(hub)
	// Output: load{cluster="eu-1",gatewayID="gw-0017",networkID="net1"} 0.5
}

// All that is wrong is said at once.
func ExampleConfig_Validate() {
	cfg := exporter.Config{
		Hubs:    []exporter.Hub{{URL: "edgehub-0:9091"}},
		CatchUp: 1,
	}
	fmt.Println(cfg.Validate())
	// Output:
	// Hubs[0] "": URL "edgehub-0:9091" must begin with http:// or https://
	// CatchUp is 1: with less than 1.1 times what is submitted a hub never catches up
}

// The second machine is twice as large as the first, and gets twice as many
// gateways. The names stay what they are when an address changes.
func ExampleHub() {
	cfg := exporter.Config{Hubs: []exporter.Hub{
		{Name: "edgehub-0", URL: "http://10.0.0.7:9091"},
		{Name: "edgehub-1", URL: "http://10.0.0.8:9091", Weight: 2},
	}}
	fmt.Println(cfg.Validate())
	// Output: <nil>
}

// inventory is a Membership of a controller that knows its machines itself.
type inventory []string

// Hubs implements exporter.Membership.
func (i inventory) Hubs(context.Context) ([]exporter.Hub, error) {
	var hubs []exporter.Hub
	for _, machine := range i {
		hubs = append(hubs, exporter.Hub{Name: machine, URL: "http://" + machine + ":9091"})
	}
	return hubs, nil
}

// Any source can say who the hubs are.
func ExampleMembership() {
	cfg := exporter.Config{Members: inventory{"edgehub-0", "edgehub-1"}}
	fmt.Println(cfg.Validate())
	// Output: <nil>
}
