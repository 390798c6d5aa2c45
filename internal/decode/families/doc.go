// Package families reads io.prometheus.client.MetricFamily in protobuf, of a client's push or of a call by gRPC.
//
// It takes what a Prometheus takes of a scrape in this format, with the same names: a histogram or summary comes as its series, with bounds
// spelled as Prometheus spells them (1.0), and a native histogram as it is, with its classic buckets beside it where it has both. The type of
// a gauge histogram is gauge: its counts may go down, and the text format has no other word for that.
package families
