// Package handover knows which client has which response, told by its connection.
//
// The life of a response:
//
//	Listen    a client connects; the desk watches what comes and goes over its connection
//	Handler   its request finds the connection again, by its addresses
//	Settle    a scrape begins: what the same client was given before is settled
//	Response  the answer is written as any other
//	Owe       it is written, and owed until something tells what became of it
//	Taken     the client has it, or
//	Lost      it has not, as far as can be told, and it has to come again
//
// Nothing is told by a handler that returns, nor by a write that succeeds: the
// response may sit in the sockets' buffers while the scraper's time runs out, and
// then the scraper throws away what it has. What tells:
//
//   - The same client scrapes the same key again. On the same connection it has read
//     what came before. On another one it has what its system has acknowledged.
//   - The connection ends. If the other side closes it in order, and its system has
//     acknowledged everything, all was read: what lies unread when a program closes
//     a connection makes that a reset.
//
// Where the server closes the connection, because the client asked for it, or speaks
// HTTP/1.0, or because the server stops, the desk closes only its own half, and waits
// for the other one, whose end tells as well. A client that did not take a response
// gets the next ones that way: behind some proxies only such ends are in order.
//
// Nothing else tells: not the clock, not a server that shuts down, not a request of
// somebody else on the connection (a probe, a push, another key), and not a request
// that was sent before the response was there. A reset tells the contrary, and so does
// an end before everything was acknowledged.
//
// What can't be told: a program that reads a response and then throws it away, and
// what a proxy does with it. The client's store has to be asked for that.
//
// HTTP/2 lets requests share a connection, so nothing can be told, and no more can it
// where the connection is not one of the desk's. There a response is taken once it is
// owed.
//
// The desk sees a connection's bytes below TLS, and net/http only above it. Two things
// follow. That a response is written shows when the server reads on, or closes the
// connection. And the alert with which TLS ends is left out where a client would leave
// it unread, which would make an end in order a reset.
//
//	desk.go      the desk, its handler, and the goroutines that it waits for
//	listener.go  a connection as the server sees it
//	place.go     who may be connected, and who makes room
//	evidence.go  what a connection shows, and what that says of its responses
//	parting.go   ends that the server brings about
//	response.go  a response on its way
//	owed.go      one that is out, until something is told of it
//	ledger.go    the responses of a key, over all connections
//	notice.go    what is amiss with scrapers
//	socket_*.go  what only the system knows of a connection
package handover
