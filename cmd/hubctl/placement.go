package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

// The names of placements on the command line.
const (
	byRendezvous = "rendezvous"
	byCircle     = "consistent"
)

// base is a way to make a ring of hubs.
type base struct {
	name   string
	circle consistent.Config // of byCircle
}

func (b base) ring(nodes []hashring.Node) (*hashring.Ring, error) {
	if b.name == byCircle {
		return consistent.New(nodes, b.circle)
	}
	return hashring.New(nodes)
}

func (b base) String() string {
	if b.name == byCircle {
		return fmt.Sprintf("%s (%s partitions, %s replicas, load %g)", b.name,
			grouped(b.circle.PartitionCount), grouped(b.circle.ReplicationFactor), b.circle.Load)
	}
	return b.name
}

// baseFlags say how keys are placed that nothing else is said of.
type baseFlags struct {
	name   *string
	circle circleFlags
}

// circleFlags are the parameters of a circle.
type circleFlags struct {
	partitions, replicas *int
	load                 *float64
}

func (c *circleFlags) config() consistent.Config {
	return consistent.Config{PartitionCount: *c.partitions, ReplicationFactor: *c.replicas, Load: *c.load}
}

var defaultCircle = consistent.Config{
	PartitionCount:    consistent.DefaultPartitionCount,
	ReplicationFactor: consistent.DefaultReplicationFactor,
	Load:              consistent.DefaultLoad,
}

func newBaseFlags(cmd *kingpin.CmdClause) *baseFlags {
	b := &baseFlags{}
	b.name = cmd.Flag("placement", "How keys are placed on hubs: rendezvous, as exporters do it that were not told otherwise; or consistent, "+
		"the circle of github.com/buraksezer/consistent, for exporters whose Config.Ring is that of hashring/consistent.").
		Default(byRendezvous).Enum(byRendezvous, byCircle)
	b.circle.partitions = number(cmd, "consistent.partitions", defaultCircle.PartitionCount, 1, consistent.MaxPartitionCount,
		"Of the circle: its PartitionCount.")
	b.circle.replicas = number(cmd, "consistent.replicas", defaultCircle.ReplicationFactor, 1, consistent.MaxReplicationFactor,
		"Of the circle: its ReplicationFactor, how often each hub is on it.")
	b.circle.load = factor(cmd, "consistent.load", defaultCircle.Load,
		"Of the circle: its Load, how many partitions a hub may have, as a multiple of the average.")
	return b
}

func (b *baseFlags) base() base { return base{*b.name, b.circle.config()} }

var errNoCircle = usageError{errors.New("--consistent.partitions, .replicas and .load are of use only with --placement=consistent")}

// changeFlags say how keys are placed before and after a change.
type changeFlags struct {
	after  *baseFlags
	before baseFlags // what is said of it is otherwise than after
}

func newChangeFlags(cmd *kingpin.CmdClause) *changeFlags {
	c := &changeFlags{after: newBaseFlags(cmd)}
	c.before.name = cmd.Flag("placement-before", "How they are placed before the change, if that is not as after it: rendezvous or consistent.").
		PlaceHolder("PLACEMENT").Enum(byRendezvous, byCircle)
	c.before.circle.partitions = number(cmd, "consistent-before.partitions", 0, 0, consistent.MaxPartitionCount,
		"Of the circle before the change; 0 is as --consistent.partitions.")
	c.before.circle.replicas = number(cmd, "consistent-before.replicas", 0, 0, consistent.MaxReplicationFactor,
		"Of the circle before the change; 0 is as --consistent.replicas.")
	c.before.circle.load = factor(cmd, "consistent-before.load", 0,
		"Of the circle before the change; 0 is as --consistent.load.")
	return c
}

// bases returns those before and after the change.
func (c *changeFlags) bases() (before, after base, err error) {
	after = c.after.base()
	changed := c.before.circle.config()
	before = base{cmp.Or(*c.before.name, after.name), consistent.Config{
		PartitionCount:    cmp.Or(changed.PartitionCount, after.circle.PartitionCount),
		ReplicationFactor: cmp.Or(changed.ReplicationFactor, after.circle.ReplicationFactor),
		Load:              cmp.Or(changed.Load, after.circle.Load),
	}}
	if before.name != byCircle && after.name != byCircle && after.circle != defaultCircle {
		err = errNoCircle
	}
	if before.name != byCircle && changed != (consistent.Config{}) {
		err = errors.Join(err, usageError{errors.New("--consistent-before.partitions, .replicas and .load are of use only if the placement before is consistent")})
	}
	return before, after, err
}
