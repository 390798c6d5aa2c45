// Package intake turns the bytes of a format into a batch for the store, one file a
// format. The text format, 0.0.4, is the only one as yet.
//
// The life of a line: it is compared with what followed the last line when they
// were seen before; if it is another one it is looked up; if it is new it is checked in full
// and noted as a newcomer. When the body is read to its end the store takes all of it or nothing.
package intake
