package method_test

import (
	"fmt"
	"log"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// Whatever a list of nodes names gives the ring.
func ExampleParse() {
	by, err := method.Parse("consistent/partitions=20011/replicas=200")
	if err != nil {
		log.Fatal(err)
	}
	ring, err := by.Ring([]hashring.Node{{Name: "edgehub-0"}, {Name: "edgehub-1"}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(by, ring.Owner("gw-0017"))
	// Output: consistent/partitions=20011/replicas=200/load=1.25 edgehub-0
}
