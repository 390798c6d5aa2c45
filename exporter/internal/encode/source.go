package encode

import "github.com/hubring/hubring/exporter/magma"

// KeyContext is the context of families that have all their labels already. It
// sets none and has a key of its own for the ring. What is embedded is nil: it makes
// this one of a set that is closed to others.
type KeyContext struct {
	magma.AdditionalMetricContext
	Key string
}

// The names of the labels that a context sets.
const (
	labelNetwork = "networkID"
	labelGateway = "gatewayID"
	labelHost    = "cloudHost"
)

// label is one name and value.
type label struct{ name, value string }

// source is a context made ready for encoding.
type source struct {
	key     string // of the ring; "" for no gateway
	network string // for log lines
	set     [2]label
	n       int // how many of set are used
}

// sourceOf translates a context. A nil pointer counts as no context.
func sourceOf(c magma.AdditionalMetricContext) source {
	switch c := c.(type) {
	case *magma.GatewayMetricContext:
		if c != nil {
			return source{
				key: c.GatewayID, network: c.NetworkID, n: 2,
				set: [2]label{{labelGateway, c.GatewayID}, {labelNetwork, c.NetworkID}},
			}
		}
	case *magma.CloudMetricContext:
		if c != nil {
			return source{n: 1, set: [2]label{{labelHost, c.CloudHost}}}
		}
	case *magma.PushedMetricContext:
		if c != nil {
			return source{n: 1, network: c.NetworkID, set: [2]label{{labelNetwork, c.NetworkID}}}
		}
	case *KeyContext:
		if c != nil {
			return source{key: c.Key}
		}
	}
	return source{}
}

// keyOf is sourceOf(c).key.
func keyOf(c magma.AdditionalMetricContext) string {
	switch c := c.(type) {
	case *magma.GatewayMetricContext:
		if c != nil {
			return c.GatewayID
		}
	case *KeyContext:
		if c != nil {
			return c.Key
		}
	}
	return ""
}

// labels returns the labels that the context sets.
func (s *source) labels() []label { return s.set[:s.n] }

// value returns that of a label, and whether the context sets it, so that the metric's own
// one gives way.
func (s *source) value(name string) (value string, ok bool) {
	for _, l := range s.labels() {
		if l.name == name {
			return l.value, true
		}
	}
	return "", false
}
