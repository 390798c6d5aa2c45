package consistent_test

import (
	"fmt"
	"log"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

// Keys are where the library has them. When their node is away they go on by hashring's
// own order.
func ExampleNew() {
	ring, err := consistent.New([]hashring.Node{{Name: "edgehub-0"}, {Name: "edgehub-1"}, {Name: "edgehub-2"}}, consistent.Config{})
	if err != nil {
		log.Fatal(err)
	}
	for node := range ring.Walk("gw-0017") {
		fmt.Println(node)
	}
	// Output:
	// edgehub-0
	// edgehub-1
	// edgehub-2
}

// An exporter whose gateways are placed by the circle.
func ExampleConfig_Ring() {
	circle := consistent.Config{PartitionCount: 20_011, ReplicationFactor: 200}
	_, err := exporter.New(exporter.Config{
		Hubs: []exporter.Hub{{URL: "http://edgehub-0:9091"}, {URL: "http://edgehub-1:9091"}},
		Ring: circle.Ring,
	})
	fmt.Println(err)
	// Output: <nil>
}

// All that is wrong is said at once.
func ExampleConfig_Validate() {
	fmt.Println(consistent.Config{PartitionCount: -1, Load: -1}.Validate())
	// Output:
	// PartitionCount is -1: it must be between 1 and 1048576, or 0 for 271
	// Load is -1: it must be a number above 0, or 0 for 1.25; below 1 there is hardly ever room for all partitions
}
