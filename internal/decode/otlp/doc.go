// Package otlp reads the metrics of OpenTelemetry, an ExportMetricsServiceRequest in protobuf or JSON, and brings them to a sink as the
// series that Prometheus' own OTLP receiver makes of them.
//
// The life of a request: JSON becomes protobuf, by a table of fields; protobuf is read in place. Of each resource the labels
// that all its series have are written once; of each metric the name is translated once, and kept for the next request; of each data point
// the attributes become labels, and then each of its samples is a name in front of them. Nothing is allocated for a data point that is
// like those before.
//
// Fields may come in any order, so each message is looked through before its points are read; that jumps from field to field.
//
// What a data point says that no series can have is refused alone, and the others are taken.
package otlp
