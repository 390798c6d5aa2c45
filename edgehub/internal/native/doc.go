// Package native checks native histograms and exemplars, as io.prometheus.client has them in protobuf: a Prometheus refuses a
// whole scrape for one histogram that is none.
package native
