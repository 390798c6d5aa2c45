// Package body reads the bodies of requests within bounds of memory and time.
//
// The life of a body: it takes a block of a Room for what its sender announces or the least
// there is, is read into it, moves to larger ones as bytes arrive, is decompressed
// into another body if need be, and gives all back with Release.
//
// A body is read in full before its push takes a place among those that are
// taken in, so a slow sender keeps no place. What it can keep is memory: all
// bodies together have a bound, and a body gets more of it as its bytes arrive.
// While there is plenty a body gets room at once for what its sender announces,
// since each read into a small buffer is a system call more; but announcements
// never take more than half of it, however many there are.
package body
