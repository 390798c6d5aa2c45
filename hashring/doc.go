// Package hashring decides which hub is the home of a gateway, and where its
// samples go while that hub is away.
//
// The circle is cut into a fixed number of partitions. A key is hashed to one
// of them, and each partition belongs to one node:
//
//	key ──xxhash──► partition 7,113 ──table──► owner
//	                      │
//	                      └──rendezvous order──► the nodes to try after it
//
// Which node owns which partition comes from consistent hashing with bounded
// loads (github.com/buraksezer/consistent; Mirrokni, Thorup and Zadimoghaddam,
// "Consistent Hashing with Bounded Loads", 2016). One node more or fewer moves
// only the partitions that must move.
//
// The failover order is a property of the partition, not of the owner: highest
// random weight, also called rendezvous hashing (Thaler and Ravishankar, 1998).
// So the keys of a node that dies spread over all the others, the keys of
// living nodes stay where they are, and nothing is rebuilt.
//
// Everybody who builds a ring from the same set of names gets the same ring,
// in whatever order the names were listed. The hash, the number of partitions
// and the number of virtual nodes are therefore part of the format: changing
// one of them moves the fleet. testdata pins them.
package hashring
