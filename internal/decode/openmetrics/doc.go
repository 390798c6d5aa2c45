// Package openmetrics reads OpenMetrics text, version 1.0, to a sink.
//
// Types become the words of the text format, and families the names that their series have there: a counter is called x_total, an info
// x_info. Info and stateset are gauges, and so is a gauge histogram, whose counts may go down and are no histogram's by their names
// (x_gcount). A unit has to be the end of its family's name, as to Prometheus, and is not kept beside it.
//
// A line x_created right behind x_total or x_count of the same labels says since when they count, and is brought as their start. In any
// other place it is brought as the series that it is to a Prometheus.
package openmetrics
