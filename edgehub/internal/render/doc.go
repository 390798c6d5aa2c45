// Package render writes an arrangement as the bytes of a format. The text format, 0.0.4,
// is the only one as yet.
//
// The life of an arrangement here: family by family its HELP and TYPE lines are written, then
// series by series its points, names escaped as the scraper wants them, and last the
// tail that the caller adds.
package render
