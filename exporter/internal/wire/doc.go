// Package wire is what goes to hubs as one or in part: the encoded samples of one
// gateway, and how those of many become the text of a request. It knows of no queue
// and no disk.
//
//	text, ends, Shape ──NewBody──► Body ─┐
//	                               Body ─┼─ Joiner ──► one request, each family once
//	                               Body ─┘
//	                                ▲
//	                                └─ Claims: which of them agree about names and types
//
// Bodies come from pools and go back with Release, so that queues make no garbage. A
// Body may be read by any number of goroutines; a Joiner and Claims are one's.
//
// # Map of files
//
//	body.go    one gateway's samples, and what they take in memory
//	pool.go    where the memory of bodies comes from
//	shape.go   the families of a body: names, types, helps
//	claims.go  names that must not have two types in a request
//	join.go    bodies to the text of a request
package wire
