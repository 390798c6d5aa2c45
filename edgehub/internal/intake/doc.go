// Package intake turns the bytes of a push into a batch for the store: those of the text format, 0.0.4, which is read in place, and of
// others what a decoder brings to a sink.
//
// The life of a series: it is compared with what followed the last one when they
// were seen before; if it is another one it is looked up; if it is new it is checked in full
// and noted as a newcomer. When the body is read to its end the store takes all of it or nothing.
package intake
