// Package compare tests that the hub reads the text format as Prometheus does, with
// Prometheus' own parser, which is too heavy for the hub's module.
package compare
