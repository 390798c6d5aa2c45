// Package encode turns what a controller submits into what goes to hubs: metric families
// into the text format, one gateway at a time.
//
//	[]magma.MetricAndContext ──► source: labels, key ──► normalise: names, types ──► text ──► Bodies
//	                                     │                       │
//	                                     └───────────────────────┴─ what cannot be written: LeftOut, Dropped
//
// The caller's families are not modified, and nothing of them is kept behind Release.
// Only the metric at fault is left out; package reason says why. A Body is cut where it is large,
// and where families disagree about a name, since receivers read a request as a whole.
// Nothing is allocated per sample, but where families of a gateway share names.
//
// # Map of files
//
//	text.go       texts, whose series have all their labels, to bodies
//	encoder.go    families to bodies; lines.go: a metric to lines
//	source.go     the labels and the key that a context stands for
//	own.go        the labels that the controller sets on all
//	normalise.go  names, types, what a metric must have
//	labels.go     labels checked, sorted and written
//	collisions.go series that two families of a gateway have
package encode
