package series

// ID is a series' number in a table. Numbers of expired series are used again.
type ID uint32

// None is the number of no series.
const None ID = 1<<32 - 1
