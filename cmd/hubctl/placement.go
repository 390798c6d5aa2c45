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

// placement is a way to make a ring of hubs.
type placement struct {
	name   string
	circle consistent.Config // of byCircle
}

func (p placement) ring(nodes []hashring.Node) (*hashring.Ring, error) {
	if p.name == byCircle {
		return consistent.New(nodes, p.circle)
	}
	return hashring.New(nodes)
}

func (p placement) String() string {
	if p.name == byCircle {
		return fmt.Sprintf("%s (%s partitions, %s replicas, load %g)", p.name,
			grouped(p.circle.PartitionCount), grouped(p.circle.ReplicationFactor), p.circle.Load)
	}
	return p.name
}

// placementFlags say how keys are placed before and after a change.
type placementFlags struct {
	name, nameBefore     *string
	circle, circleBefore *circleFlags
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

func placementsFlags(cmd *kingpin.CmdClause) *placementFlags {
	p := &placementFlags{circle: &circleFlags{}, circleBefore: &circleFlags{}}
	p.name = cmd.Flag("placement", "How keys are placed on hubs: rendezvous, as exporters do it that were not told otherwise; or consistent, "+
		"the circle of github.com/buraksezer/consistent, for exporters whose Config.Ring is that of hashring/consistent.").
		Default(byRendezvous).Enum(byRendezvous, byCircle)
	p.circle.partitions = number(cmd, "consistent.partitions", defaultCircle.PartitionCount, 1, consistent.MaxPartitionCount,
		"Of the circle: its PartitionCount.")
	p.circle.replicas = number(cmd, "consistent.replicas", defaultCircle.ReplicationFactor, 1, consistent.MaxReplicationFactor,
		"Of the circle: its ReplicationFactor, how often each hub is on it.")
	p.circle.load = factor(cmd, "consistent.load", defaultCircle.Load,
		"Of the circle: its Load, how many partitions a hub may have, as a multiple of the average.")
	p.nameBefore = cmd.Flag("placement-before", "How they are placed before the change, if that is not as after it: rendezvous or consistent.").
		PlaceHolder("PLACEMENT").Enum(byRendezvous, byCircle)
	p.circleBefore.partitions = number(cmd, "consistent-before.partitions", 0, 0, consistent.MaxPartitionCount,
		"Of the circle before the change; 0 is as --consistent.partitions.")
	p.circleBefore.replicas = number(cmd, "consistent-before.replicas", 0, 0, consistent.MaxReplicationFactor,
		"Of the circle before the change; 0 is as --consistent.replicas.")
	p.circleBefore.load = factor(cmd, "consistent-before.load", 0,
		"Of the circle before the change; 0 is as --consistent.load.")
	return p
}

// placements returns those before and after the change.
func (p *placementFlags) placements() (before, after placement, err error) {
	circle, changed := p.circle.config(), p.circleBefore.config()
	after = placement{*p.name, circle}
	before = placement{cmp.Or(*p.nameBefore, *p.name), consistent.Config{
		PartitionCount:    cmp.Or(changed.PartitionCount, circle.PartitionCount),
		ReplicationFactor: cmp.Or(changed.ReplicationFactor, circle.ReplicationFactor),
		Load:              cmp.Or(changed.Load, circle.Load),
	}}
	if before.name != byCircle && after.name != byCircle && circle != defaultCircle {
		err = errors.New("--consistent.partitions, .replicas and .load are of use only with --placement=consistent")
	}
	if before.name != byCircle && changed != (consistent.Config{}) {
		err = errors.Join(err, errors.New("--consistent-before.partitions, .replicas and .load are of use only if the placement before is consistent"))
	}
	if err != nil {
		err = usageError{err}
	}
	return before, after, err
}
