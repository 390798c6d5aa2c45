// Package hashring decides which hub is the home of a gateway, and where its
// samples go while that hub is away.
//
// The circle is cut into a fixed number of partitions. A key is hashed to one of
// them, and each partition has an order of its own in which it likes the nodes:
//
//	key ──xxhash──► partition 22,532 ──order──► edgehub-1, edgehub-0, edgehub-2
//	                                               │           │
//	                                             owner     the one to try next
//
// The order is by highest random weight, also called rendezvous hashing (Thaler
// and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998): a
// hash of partition and node. Nodes of different weight are ordered by
// -ln(hash)/weight, the logarithmic method of Schindelhauer and Schomaker
// ("Weighted Distributed Hash Tables", 2005). A node's place in the order has nothing to
// do with who else is there, and everything else follows:
//
//   - A node that is added takes its share from all others, and nothing moves
//     between those.
//   - The keys of a node that dies spread over all the others, the keys of living
//     nodes stay, and nothing is rebuilt: that is [Ring.Walk].
//   - A node that is taken off the list after it died moves nothing any more.
//
// New works the owners out once, into a table, so that [Ring.Owner] is a hash and
// a look into memory. How even the shares are is chance; where the keys are
// known, [Ring.Assign] bounds it; package placement hands what it moved to processes
// that do not know them, and [Ring.Place] repeats it there. [Compare] says what a change of the set moves.
//
// [FromTable] takes the owners from another method, and behind the owner a walk goes on
// as above. Package consistent fills the table with the circle of buraksezer/consistent,
// for those who have it elsewhere or are used to it.
//
// Everybody who builds a ring from the same set of names and weights gets the
// same ring, in whatever order they were listed. The hashes, the number of
// partitions and the order are therefore a format: changing one of them moves the
// fleet. testdata pins it, and the README says how to write it in another language.
package hashring
