// Package block packs samples that nobody adds to any more: a stretch of a log, some
// hundred thousand samples of a fleet whose gateways report again and again, at two bytes a sample
// instead of twenty. What comes out is what went in, to the bit.
//
// A block is bytes: how many samples and series there are, and four sections.
//
//	series  their numbers, in the order in which each came first
//	order   whose samples came in which order, as places among the series
//	times   of the samples in that order
//	values  series by series
//
// The first three are runs (runs.go). A report of a gateway names its series in the order of the report
// before, and they have one time or a few, so a run is a report. Values lie series by
// series, since a value is like the one before it of its series (values.go).
//
// So a block can be read in two ways: the keys of its samples, as they came, without
// touching a value; and all of it, or of some series, series by series.
package block
