// Package render writes an arrangement as the bytes of a format: text, version 0.0.4 or 1.0.0,
// protobuf, metric families each behind its length, or OpenMetrics, version 1.0 or 2.0.
//
// The life of an arrangement here: series by series (render.go), it becomes lines, with HELP and
// TYPE lines in front of each family (text.go), or metrics of a family (proto.go), where the
// series of a histogram or summary are put together again (compound.go) and what cannot be is
// written apart (leftovers.go). OpenMetrics is those metrics in letters (openmetrics.go), so it
// says the same as protobuf, but for what it has no words for. Names are escaped as the scraper
// wants them. Last comes a gauge of the hub's own.
package render
