// Package decode has what the decoders of formats share: where they bring what they read. A decoder is a package
// below this one, one a format; it knows the format and nothing of who takes its samples.
package decode

import "math"

// NoTime is the time of a sample that has none: whoever takes it sets that of its arrival.
const NoTime = math.MinInt64

// Sink takes what a decoder reads of one body, in the body's order. It keeps none of the bytes that it is given. An error of
// Sample or Histogram is about this sample: a decoder that stops returns it, with the place in front, and nothing of the body is kept;
// one that goes on leaves the sample out. A *BrokenError is about the whole body and ends the reading.
// A sink is for one goroutine.
type Sink interface {
	// Sample brings a sample. The series is spelled as in the text format, name{label="value",…}, its labels in any order; names
	// that are not classic are in quotes. Use AppendSeries. Its time is in milliseconds since the epoch, or NoTime.
	Sample(series []byte, ms int64, value float64) error
	// Histogram brings a native histogram: an io.prometheus.client.Histogram in protobuf, without classic buckets, exemplars and
	// timestamps of any kind, which come by themselves. One of a family of the type gauge may go down.
	Histogram(series []byte, ms int64, message []byte) error
	// Exemplar brings an io.prometheus.client.Exemplar in protobuf, of the sample or histogram that was brought last.
	Exemplar(message []byte) error
	// Start says since when the sample or histogram that was brought last counts, in milliseconds since the epoch. Of a classic
	// histogram or summary it is enough to say it of the series _count.
	Start(ms int64) error
	// Type says what a family is: counter, gauge, histogram, summary or untyped.
	Type(family, kind []byte) error
	// Help says a family's help text, without escapes.
	Help(family, text []byte) error
}

// LooseSink is a sink that takes exemplars which come without the samples that they are of, as Prometheus' remote write sends them.
type LooseSink interface {
	Sink
	// Loose brings an io.prometheus.client.Exemplar in protobuf of a series, spelled as for Sample, and when it was observed, in
	// milliseconds since the epoch.
	Loose(series []byte, ms int64, message []byte) error
}

// BrokenError ends the reading of a body: its sink takes no more of it.
type BrokenError struct{ Err error }

func (e *BrokenError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *BrokenError) Unwrap() error { return e.Err }
