// Package render writes an arrangement as the bytes of a format. The text format, 0.0.4,
// is the only one as yet.
package render
