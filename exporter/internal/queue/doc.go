// Package queue has the samples that wait, and decides what becomes of each: which hub
// gets them, when, in whose order, who has to make room, and what a hub is to be told of
// gateways that left it.
//
// It does nothing itself: no I/O, no logger, no goroutine, no clock; times come with the calls. Who calls
// is in package send: a sender asks Next what to do and says what came of it, a teller asks NextTell, and
// the spooler takes what is too much for memory to disk. All methods may be called from any goroutine.
//
//	queue.go     what there is; a parcel from Submit to its fate
//	fates.go     what senders say of the parcels of a request
//	closing.go   the end of it all
//	parcel.go    one gateway's samples: what they are, their place here, their place on disk
//	lane.go      one gateway's parcels
//	outbox.go    one hub's lanes, and what its senders do next
//	route.go     which outbox has a lane; changes of the ring
//	share.go     who may have how much of the memory
//	breaker.go   hubs going down and coming up; backoff.go: for how long
//	pace.go      how fast a hub that was down catches up
//	backlog.go   all parcels by age
//	spill.go     parcels going to disk and coming back; bundle.go: small ones together
//	flush.go     who waits for all; receipt.go: who waits for what it pushed
//	stays.go     which hub has a gateway's samples
//	ends.go      what becomes of a move that a hub is to be told of
//	notices.go   what one hub is to be told, and when
//	account.go   where every sample is; snapshot.go shows it, with all else
//	moves.go     what a change of hubs moved, for the log
//	check.go     what must hold, for tests
package queue
