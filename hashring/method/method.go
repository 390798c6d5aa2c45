// Package method spells how nodes become a ring, so that whatever lists the nodes can say that, too: a list of hubs, a
// flag, a file. One spelling and the same nodes give the same ring everywhere.
//
//	rendezvous                                          that of hashring.New
//	consistent                                          that of hashring/consistent, with its defaults
//	consistent/partitions=20011/replicas=200/load=1.25  with other parameters; those that are left out have their defaults
//
// No sign of it needs quotes in YAML, a shell or Helm's --set.
package method

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/consistent"
)

const (
	rendezvous = "rendezvous"
	circle     = "consistent"
)

// Method is a way to make a ring of nodes. The zero Method is that of somebody who says nothing: rendezvous.
type Method struct {
	said   bool
	circle consistent.Config // without a zero among its fields; the zero Config for rendezvous
}

// Said reports whether somebody says so: Parse does.
func (m Method) Said() bool { return m.said }

// Same reports whether two are the same way, said or not.
func (m Method) Same(other Method) bool { return m.circle == other.circle }

// Parse reads a spelling. The error says what is wrong with it, all of it at once.
func Parse(text string) (Method, error) {
	m, err := parse(text)
	if err != nil {
		return Method{}, fmt.Errorf("placement %.100q: %w", text, err)
	}
	return m, nil
}

func parse(text string) (Method, error) {
	if text == rendezvous {
		return Method{said: true}, nil
	}
	name, rest, more := strings.Cut(text, "/")
	if name != circle {
		return Method{}, fmt.Errorf("it must be %s or %s, which may have parameters, as in %s", rendezvous, circle, Method{circle: withDefaults(consistent.Config{})})
	}
	var c consistent.Config
	if more {
		var err error
		if c, err = parameters(strings.Split(rest, "/")); err != nil {
			return Method{}, err
		}
	}
	c = withDefaults(c)
	return Method{said: true, circle: c}, c.Validate()
}

// parameters reads those of a circle. One whose value is 0 has its default.
func parameters(all []string) (c consistent.Config, err error) {
	seen := map[string]bool{}
	for _, p := range all {
		name, value, _ := strings.Cut(p, "=")
		if seen[name] {
			return c, fmt.Errorf("%s is there twice", name)
		}
		seen[name] = true
		switch name {
		case "partitions":
			c.PartitionCount, err = strconv.Atoi(value)
		case "replicas":
			c.ReplicationFactor, err = strconv.Atoi(value)
		case "load":
			c.Load, err = strconv.ParseFloat(value, 64)
		default:
			return c, fmt.Errorf("parameter %.40q is unknown: partitions, replicas and load are understood", name)
		}
		if err != nil {
			return c, fmt.Errorf("%s is %.40q: it must be a number", name, value)
		}
	}
	return c, nil
}

func withDefaults(c consistent.Config) consistent.Config {
	return consistent.Config{
		PartitionCount:    cmp.Or(c.PartitionCount, consistent.DefaultPartitionCount),
		ReplicationFactor: cmp.Or(c.ReplicationFactor, consistent.DefaultReplicationFactor),
		Load:              cmp.Or(c.Load, consistent.DefaultLoad),
	}
}

// String returns the spelling in full, which Parse takes: it is the same for the same way.
func (m Method) String() string {
	if m.circle == (consistent.Config{}) {
		return rendezvous
	}
	return fmt.Sprintf("%s/partitions=%d/replicas=%d/load=%s", circle, m.circle.PartitionCount, m.circle.ReplicationFactor,
		strconv.FormatFloat(m.circle.Load, 'g', -1, 64))
}

// Ring builds the ring of the nodes, which may come in any order. The error says what is wrong with them.
func (m Method) Ring(nodes []hashring.Node) (*hashring.Ring, error) {
	if m.circle == (consistent.Config{}) {
		return hashring.New(nodes)
	}
	return consistent.New(nodes, m.circle)
}
