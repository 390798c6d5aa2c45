// Package remotewrite reads requests of Prometheus' remote write, prometheus.WriteRequest of version 1.0 and
// io.prometheus.write.v2.Request of 2.0, after decompression.
//
// The life of a series: its labels are gathered and spelled as in the text format, into scratch space that the next one writes
// over; then its samples and histograms are brought in the order of the message. A message that is broken is refused as a whole, and a
// series or sample that is amiss is left out, as the protocol wants it: the others are brought, and Decoder.Refuse is told.
package remotewrite
