// Package front takes pushes in many protocols and submits them to an exporter.
//
//	request ──► gate: limits ──► body ──► decoder ──► lines ──► exporter.SubmitText
//	                                                     └─ what text cannot say: counted
//
// # Map of files
//
//	front.go    New, Server, Reload, Close
//	running.go  the exporter, and how another config makes another one
//	gate.go     who is let in, and what may be read at a time
//	take.go     what a decoder reads, to the exporter
//	refusal.go  why not: status, reason, words
//	house.go    the exporter as shared doors see it
//	routes.go   the paths; push.go, groups.go, calls.go: doors of its own
//	metrics.go  what is counted
package front
