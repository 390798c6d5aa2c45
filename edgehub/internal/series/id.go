// Package series numbers what senders spell.
package series

// ID is the number of a series.
type ID uint32

// None is no series.
const None ID = 1<<32 - 1
