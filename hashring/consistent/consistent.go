// Package consistent places keys as github.com/buraksezer/consistent does, a circle
// with bounded loads (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with
// Bounded Loads", 2018), behind the interface of hashring: every key is where the
// library's LocateKey puts it, and fails over as on any other Ring.
//
//	key ──xxhash──► partition 43 of 271 ──circle──► edgehub-1, then as hashring's Walk
//
// It is for fleets that are placed by the library already, or whose other parts are.
// The ring of hashring.New is more even, moves nothing between nodes that stay and knows
// weights.
//
// Whoever places keys with the same nodes and the same Config gets the same ring. A
// Config that changes moves most of the fleet, once.
package consistent

import (
	"errors"
	"fmt"
	"math"
	"runtime"

	library "github.com/buraksezer/consistent"
	"github.com/cespare/xxhash/v2"

	"github.com/hubring/hubring/hashring"
)

// The defaults of Config, which are the library's.
const (
	DefaultPartitionCount    = library.DefaultPartitionCount
	DefaultReplicationFactor = library.DefaultReplicationFactor
	DefaultLoad              = library.DefaultLoad
)

// The largest numbers that New takes. Beyond, the library would be at work for hours
// or need gigabytes.
const (
	MaxPartitionCount    = 1 << 20
	MaxReplicationFactor = 1 << 12
)

// Config is what the library's is, but for the hasher, which is xxhash64 with seed 0.
// A field that is zero has the default named in its comment.
type Config struct {
	// PartitionCount is into how many partitions the circle is cut; 271. Whole
	// partitions have a home, so it bounds how even the placement can be: with 20,011,
	// and 200 for ReplicationFactor, ten nodes are within an eighth of the average,
	// with the defaults within a quarter or so. It should be a prime.
	PartitionCount int
	// ReplicationFactor is how often each node is on the circle; 20. Adding a node
	// sorts the circle anew, so 1,000 nodes with 200 places each take ten seconds.
	ReplicationFactor int
	// Load is how many partitions a node may have at most, as a multiple of the
	// average, rounded up; 1.25. A partition whose node is full goes to the next one
	// on the circle. The less it is the evener, and the more moves between nodes that
	// stay when another one comes or goes.
	Load float64
}

// withDefaults returns a copy with every zero field filled in.
func (c Config) withDefaults() Config {
	if c.PartitionCount == 0 {
		c.PartitionCount = DefaultPartitionCount
	}
	if c.ReplicationFactor == 0 {
		c.ReplicationFactor = DefaultReplicationFactor
	}
	if c.Load == 0 {
		c.Load = DefaultLoad
	}
	return c
}

// Validate reports every problem of the config at once. New calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.PartitionCount < 1 || c.PartitionCount > MaxPartitionCount {
		problem("PartitionCount is %d: it must be between 1 and %d, or 0 for %d", c.PartitionCount, MaxPartitionCount, DefaultPartitionCount)
	}
	if c.ReplicationFactor < 1 || c.ReplicationFactor > MaxReplicationFactor {
		problem("ReplicationFactor is %d: it must be between 1 and %d, or 0 for %d", c.ReplicationFactor, MaxReplicationFactor, DefaultReplicationFactor)
	}
	if !(c.Load > 0) || math.IsInf(c.Load, 1) { // so that NaN is refused
		problem("Load is %g: it must be a number above 0, or 0 for %g; below 1 there is hardly ever room for all partitions", c.Load, DefaultLoad)
	}
	return errors.Join(errs...)
}

// New builds the ring on which the library has the partitions. The order of nodes does
// not matter: the library is given them in the order of their names. Every fault of the
// nodes and of cfg is reported, weights that differ are one, since the library knows
// none, and so is a Load that leaves no room.
func New(nodes []hashring.Node, cfg Config) (*hashring.Ring, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("circle of %d nodes: %w", len(nodes), err)
	}
	ring, err := hashring.FromTable(nodes, cfg.owners)
	if err != nil {
		return nil, fmt.Errorf("circle: %w", err)
	}
	return ring, nil
}

// Ring is New with this config, to be given to an exporter: exporter.Config{Ring: c.Ring}.
func (c Config) Ring(nodes []hashring.Node) (*hashring.Ring, error) { return New(nodes, c) }

// owners asks the library for the home of each partition.
func (c Config) owners(nodes []hashring.Node) ([]int, error) {
	index := make(map[string]int, len(nodes))
	members := make([]library.Member, len(nodes))
	for i, n := range nodes {
		if n.Weight != nodes[0].Weight {
			return nil, fmt.Errorf("node %q has weight %g and node %q has weight %g, and the circle knows no weights: "+
				"give all nodes the same, or use hashring.New", nodes[0].Name, nodes[0].Weight, n.Name, n.Weight)
		}
		index[n.Name] = i
		members[i] = member(n.Name)
	}
	circle, err := c.circle(members)
	if err != nil {
		return nil, err
	}
	owners := make([]int, c.PartitionCount)
	for p := range owners {
		owners[p] = index[circle.GetPartitionOwner(p).String()]
	}
	return owners, nil
}

// circle is the library's New, which panics where it finds no place for a partition.
func (c Config) circle(members []library.Member) (circle *library.Consistent, err error) {
	defer func() {
		p := recover()
		if fault, ok := p.(runtime.Error); ok {
			panic(fault) // ours or the library's: a bug, and no matter of the config
		}
		if p != nil {
			err = fmt.Errorf("%v: with Load %g each of %d nodes may have %.0f of %d partitions: raise Load to 1 or more",
				p, c.Load, len(members), math.Ceil(float64(c.PartitionCount)/float64(len(members))*c.Load), c.PartitionCount)
		}
	}()
	return library.New(members, library.Config{
		Hasher: hasher{}, PartitionCount: c.PartitionCount, ReplicationFactor: c.ReplicationFactor, Load: c.Load,
	}), nil
}

type member string

func (m member) String() string { return string(m) }

type hasher struct{}

func (hasher) Sum64(b []byte) uint64 { return xxhash.Sum64(b) }
