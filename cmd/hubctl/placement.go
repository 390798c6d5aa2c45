package main

import (
	"errors"
	"fmt"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// placementFlag says how keys are placed that nothing else is said of.
type placementFlag struct {
	name string
	by   method.Method
	set  bool
}

func newPlacementFlag(cmd *kingpin.CmdClause, name, help string) *placementFlag {
	f := &placementFlag{name: name}
	cmd.Flag(name, help+" rendezvous; or consistent, the circle of github.com/buraksezer/consistent, with parameters as in consistent/partitions=20011/replicas=200/load=1.25.").
		PlaceHolder("PLACEMENT").SetValue(f)
	return f
}

func (f *placementFlag) String() string { return "" }

func (f *placementFlag) Set(text string) (err error) {
	if f.by, err = method.Parse(text); err != nil {
		return fmt.Errorf("--%s: %w", f.name, err)
	}
	f.set = true
	return nil
}

// agrees returns an error if the flag says otherwise than a list of hubs that names a placement.
func (f *placementFlag) agrees(list string, named method.Method) error {
	if f.set && named.Said() && !f.by.Same(named) {
		return usageError{fmt.Errorf("--%s is %s, and %s names %s, which is what its exporters do: leave the flag out, or change the list", f.name, f.by, list, named)}
	}
	return nil
}

// placed is how the keys of a set of hubs are placed, as far as somebody says it.
type placed struct {
	by   method.Method
	said bool
}

// firstOf returns what is said first.
func firstOf(all ...placed) placed {
	for _, p := range all {
		if p.said {
			return p
		}
	}
	return placed{}
}

func (f *placementFlag) given() placed { return placed{f.by, f.set} }

// change is what plan shows: hubs and how they are placed, before and after.
type change struct {
	from, to                   *hubSet
	placement, placementBefore *placementFlag
	before, after              method.Method // known when there are rings
}

// rings returns those before and after. A flag counts for more than a list that names no placement; where nothing is said
// of one side it is placed as the other one.
func (c *change) rings(nameFormat string) (before, after *hashring.Ring, err error) {
	fromNodes, fromBy, fromErr := c.from.read(nameFormat)
	toNodes, toBy, toErr := c.to.read(nameFormat)
	if err := errors.Join(c.placementBefore.agrees("--from="+c.from.text, fromBy.by), c.placement.agrees("--to="+c.to.text, toBy.by)); err != nil {
		return nil, nil, err
	}
	named := placed{fromBy.by, fromBy.by.Said()}
	c.before = firstOf(c.placementBefore.given(), named, c.placement.given(), fromBy, toBy).by
	c.after = firstOf(c.placement.given(), toBy, fromBy).by
	if fromErr == nil {
		before, fromErr = c.from.ring(fromNodes, c.before)
	}
	if toErr == nil {
		after, toErr = c.to.ring(toNodes, c.after)
	}
	return before, after, errors.Join(fromErr, toErr)
}
