// Package send has the goroutines that do what the queue decides: senders make requests of what waits for
// a hub, a teller for each hub tells it which gateways left, and the spooler takes to disk what is too
// much for memory, and back.
//
//	means.go     what they work with
//	sender.go    a request's life; sorter.go: what goes into one
//	teller.go    what is told, and what an answer means
//	spooler.go   to disk and back; record.go says what is written, bundle.go: of small parcels
//	keeping.go   Submits that wait until all of theirs is on disk
//	metrics.go   of requests and of the disk
package send
