package consistent_test

import (
	"fmt"
	"log"

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

// What builds a ring of hubs, as an exporter is given it.
func ExampleConfig_Ring() {
	build := consistent.Config{PartitionCount: 20_011, ReplicationFactor: 200}.Ring
	ring, err := build([]hashring.Node{{Name: "edgehub-1"}, {Name: "edgehub-0"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(ring.Nodes(), ring.Owner("gw-0017"))
	// Output: [edgehub-0 edgehub-1] edgehub-0
}

// All that is wrong is said at once.
func ExampleConfig_Validate() {
	fmt.Println(consistent.Config{PartitionCount: -1, Load: -1}.Validate())
	// Output:
	// PartitionCount is -1: it must be between 1 and 1048576, or 0 for 271
	// Load is -1: it must be a number above 0, or 0 for 1.25; below 1 there is hardly ever room for all partitions
}
