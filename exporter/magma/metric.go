package magma

import dto "github.com/prometheus/client_model/go"

// MetricAndContext is a metric family and where it comes from.
type MetricAndContext struct {
	Family  *dto.MetricFamily
	Context MetricContext
}

// MetricContext says where a metric family comes from.
type MetricContext struct {
	// MetricName replaces the family's name unless it is empty.
	MetricName string
	// AdditionalContext decides the labels that are set, in place of the metric's own ones of
	// these names, and the key that is hashed. An empty value sets no label; a metric that has a value
	// for it is left out then, since the two disagree about whose it is. Nil sets no label
	// and counts as no gateway.
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

func (*GatewayMetricContext) isAdditionalMetricContext() {}
func (*CloudMetricContext) isAdditionalMetricContext()   {}
func (*PushedMetricContext) isAdditionalMetricContext()  {}
