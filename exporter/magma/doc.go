// Package magma is the metric model of Magma's metricsd exporters, which
// exporter.Submit takes: a metric family of prometheus/client_model, and where it comes
// from. A controller that has such exporters passes on what it has.
//
//	MetricAndContext ─┬─ Family                    the samples
//	                  └─ Context: MetricContext ─┬─ MetricName         another name for them
//	                                             └─ AdditionalContext  a gateway, a cloud host or the push API:
//	                                                                   labels, and the key on the ring
package magma
