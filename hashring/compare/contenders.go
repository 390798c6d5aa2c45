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
)

// placement is a ring that was built.
type placement interface{ owner(key string) string }

// failover is a placement that knows where a key goes while its owner is down.
type failover interface{ next(key string) string }

// Contender is a way to place keys on nodes.
type Contender struct {
	Name string
	new  func(nodes []string) placement
}

// Contenders returns Hubring's ring and what it is compared with.
func Contenders() []Contender {
	return []Contender{
		{"hubring", newHubring},
		{"buraksezer/consistent, defaults", func(nodes []string) placement { return newBuraksezer(nodes, 271, 20) }},
		{"buraksezer/consistent, 20,011 × 200", func(nodes []string) placement { return newBuraksezer(nodes, 20_011, 200) }},
		{"serialx/hashring", newSerialx},
		{"stathat/consistent", newStathat},
		{"Thanos Receive's ketama", newKetama},
		{"rendezvous, plain", newRendezvous},
		{"jump", newJump},
	}
}

type hubring struct{ *hashring.Ring }

func newHubring(names []string) placement {
	nodes := make([]hashring.Node, len(names))
	for i, n := range names {
		nodes[i].Name = n
	}
	r, err := hashring.New(nodes)
	must(err)
	return hubring{r}
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
