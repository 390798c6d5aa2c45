package exporter

import dto "github.com/prometheus/client_model/go"

// MetricAndContext is a metric family and where it comes from. It is the metric
// model of Magma's metricsd exporters.
type MetricAndContext struct {
	Family  *dto.MetricFamily
	Context MetricContext
}

// MetricContext says where a metric family comes from.
type MetricContext struct {
	// MetricName replaces the family's name unless it is empty.
	MetricName string
	// AdditionalContext decides the labels that are set and the key that is
	// hashed. Nil sets no label and counts as no gateway.
	AdditionalContext AdditionalMetricContext
}

// AdditionalMetricContext is one of *GatewayMetricContext, *CloudMetricContext
// and *PushedMetricContext.
type AdditionalMetricContext interface {
	isAdditionalMetricContext()
}

// GatewayMetricContext is the context of a metric that a gateway reported. It
// sets the labels networkID and gatewayID. GatewayID is the key of the ring; an
// empty one counts as no gateway.
type GatewayMetricContext struct {
	NetworkID, GatewayID string
}

// CloudMetricContext is the context of a metric of a cloud service. It sets the
// label cloudHost.
type CloudMetricContext struct {
	CloudHost string
}

// PushedMetricContext is the context of a metric that came in through a push
// API. It sets the label networkID.
type PushedMetricContext struct {
	NetworkID string
}

// keyContext is the context of families that have all their labels already. It
// sets none and has a key of its own for the ring.
type keyContext struct{ key string }

func (*GatewayMetricContext) isAdditionalMetricContext() {}
func (*CloudMetricContext) isAdditionalMetricContext()   {}
func (*PushedMetricContext) isAdditionalMetricContext()  {}
func (*keyContext) isAdditionalMetricContext()           {}

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
func sourceOf(c AdditionalMetricContext) source {
	switch c := c.(type) {
	case *GatewayMetricContext:
		if c != nil {
			return source{
				key: c.GatewayID, network: c.NetworkID, n: 2,
				set: [2]label{{labelGateway, c.GatewayID}, {labelNetwork, c.NetworkID}},
			}
		}
	case *CloudMetricContext:
		if c != nil {
			return source{n: 1, set: [2]label{{labelHost, c.CloudHost}}}
		}
	case *PushedMetricContext:
		if c != nil {
			return source{n: 1, network: c.NetworkID, set: [2]label{{labelNetwork, c.NetworkID}}}
		}
	case *keyContext:
		if c != nil {
			return source{key: c.key}
		}
	}
	return source{}
}

// keyOf is sourceOf(c).key.
func keyOf(c AdditionalMetricContext) string {
	switch c := c.(type) {
	case *GatewayMetricContext:
		if c != nil {
			return c.GatewayID
		}
	case *keyContext:
		if c != nil {
			return c.key
		}
	}
	return ""
}

// labels returns the labels that the context sets.
func (s *source) labels() []label { return s.set[:s.n] }

// sets reports whether the context sets the label, so that the metric's own one
// gives way.
func (s *source) sets(name string) bool {
	for i := range s.n {
		if s.set[i].name == name {
			return true
		}
	}
	return false
}
