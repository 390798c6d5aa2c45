// Package compare measures Hubring's ring beside other libraries and methods, with the
// same keys and the same hubs. It is a module of its own, so that none of them enters
// the product's dependency graph.
//
//	go test -bench . ./hashring/compare
//	go run ./hashring/compare/cmd/table
package compare

import (
	"github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"
	serialx "github.com/serialx/hashring"
	stathat "stathat.com/c/consistent"

	"github.com/hubring/hubring/hashring"
	circle "github.com/hubring/hubring/hashring/consistent"
)

// placement is a ring that was built.
type placement interface{ owner(key string) string }

// failover is a placement that knows where a key goes while its owner is down.
type failover interface{ next(key string) string }

// Contender is a way to place keys on nodes.
type Contender struct {
	Name   string
	new    func(nodes []string) placement
	assign bool // the keys are known, and Assign bounds the load; new is of a hubring
}

// Contenders returns Hubring's ring and what it is compared with.
func Contenders() []Contender {
	return []Contender{
		{Name: "hubring", new: newHubring},
		{Name: "buraksezer/consistent, defaults", new: func(nodes []string) placement { return newBuraksezer(nodes, 271, 20) }},
		{Name: "buraksezer/consistent, 20,011 × 200", new: func(nodes []string) placement { return newBuraksezer(nodes, 20_011, 200) }},
		{Name: "serialx/hashring", new: newSerialx},
		{Name: "stathat/consistent", new: newStathat},
		{Name: "Thanos Receive's ketama", new: newKetama},
		{Name: "rendezvous, plain", new: newRendezvous},
		{Name: "jump", new: newJump},
	}
}

// Placements returns what an exporter can be told to place gateways by.
func Placements() []Contender {
	by := func(cfg circle.Config) func(nodes []string) placement {
		return func(nodes []string) placement {
			r, err := circle.New(asNodes(nodes), cfg)
			must(err)
			return hubring{r}
		}
	}
	return []Contender{
		{Name: "rendezvous", new: newHubring},
		{Name: "assigned", new: newHubring, assign: true},
		{Name: "consistent, defaults", new: by(circle.Config{})},
		{Name: "consistent, 20,011 × 200", new: by(circle.Config{PartitionCount: 20_011, ReplicationFactor: 200})},
	}
}

// place builds the placement of nodes for a fleet, which only Assign asks for.
func (c Contender) place(nodes, fleet []string) placement {
	placed := c.new(nodes)
	if !c.assign {
		return placed
	}
	loads := make([]hashring.Load, len(fleet))
	for i, key := range fleet {
		loads[i] = hashring.Load{Key: key, Series: 1}
	}
	r, err := placed.(hubring).Assign(loads, 0)
	must(err)
	return hubring{r}
}

type hubring struct{ *hashring.Ring }

func newHubring(names []string) placement {
	r, err := hashring.New(asNodes(names))
	must(err)
	return hubring{r}
}

func asNodes(names []string) []hashring.Node {
	nodes := make([]hashring.Node, len(names))
	for i, n := range names {
		nodes[i].Name = n
	}
	return nodes
}

func (h hubring) owner(key string) string { return h.Owner(key).Name }

func (h hubring) next(key string) string {
	steps := 0
	for n := range h.Walk(key) {
		if steps++; steps == 2 {
			return n.Name
		}
	}
	return ""
}

// buraksezer is github.com/buraksezer/consistent with xxhash64, as its own
// documentation uses it.
type buraksezer struct{ *consistent.Consistent }

type member string

func (m member) String() string { return string(m) }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }

func newBuraksezer(nodes []string, partitions, replicas int) placement {
	members := make([]consistent.Member, len(nodes))
	for i, n := range nodes {
		members[i] = member(n)
	}
	return buraksezer{consistent.New(members, consistent.Config{
		Hasher: hasher{}, PartitionCount: partitions, ReplicationFactor: replicas, Load: 1.25,
	})}
}

func (b buraksezer) owner(key string) string { return b.LocateKey([]byte(key)).String() }

func (b buraksezer) next(key string) string {
	two, err := b.GetClosestN([]byte(key), 2)
	must(err)
	if owner := b.owner(key); two[0].String() != owner {
		return two[0].String()
	}
	return two[1].String()
}

type serialxRing struct{ *serialx.HashRing }

func newSerialx(nodes []string) placement { return serialxRing{serialx.New(nodes)} }

func (s serialxRing) owner(key string) string {
	node, _ := s.GetNode(key)
	return node
}

func (s serialxRing) next(key string) string {
	two, _ := s.GetNodes(key, 2)
	return two[1]
}

type stathatRing struct{ *stathat.Consistent }

func newStathat(nodes []string) placement {
	c := stathat.New()
	for _, n := range nodes {
		c.Add(n)
	}
	return stathatRing{c}
}

func (s stathatRing) owner(key string) string {
	node, err := s.Get(key)
	must(err)
	return node
}

func (s stathatRing) next(key string) string {
	_, second, err := s.GetTwo(key)
	must(err)
	return second
}

// must is for what cannot fail with the sets that are compared.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
