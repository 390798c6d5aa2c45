package samples

import (
	"slices"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Columns holds samples, a column for each part: no pointers for the garbage
// collector to follow, and no padding. Times are in milliseconds since the epoch.
type Columns struct {
	IDs    []series.ID
	Times  []int64
	Values []float64
}

// Add appends a sample.
func (c *Columns) Add(id series.ID, ms int64, value float64) {
	c.IDs, c.Times, c.Values = append(c.IDs, id), append(c.Times, ms), append(c.Values, value)
}

// Grow makes room for so many more.
func (c *Columns) Grow(n int) {
	c.IDs, c.Times, c.Values = slices.Grow(c.IDs, n), slices.Grow(c.Times, n), slices.Grow(c.Values, n)
}

// Room is how many samples Put may add before Grow.
func (c *Columns) Room() int { return min(cap(c.IDs), cap(c.Times), cap(c.Values)) - len(c.IDs) }

// Put appends a sample for which there is room.
func (c *Columns) Put(id series.ID, ms int64, value float64) {
	n := len(c.IDs)
	c.IDs, c.Times, c.Values = c.IDs[:n+1], c.Times[:n+1], c.Values[:n+1]
	c.IDs[n], c.Times[n], c.Values[n] = id, ms, value
}

// Reset empties the columns and keeps their memory.
func (c *Columns) Reset() { c.IDs, c.Times, c.Values = c.IDs[:0], c.Times[:0], c.Values[:0] }

// Len is the number of samples.
func (c Columns) Len() int { return len(c.IDs) }

// part returns a stretch of the samples, in place.
func (c Columns) part(from, to int) Columns {
	return Columns{c.IDs[from:to], c.Times[from:to], c.Values[from:to]}
}

// Run is a stretch of samples of one gateway, by its number.
type Run struct {
	Gateway uint32
	Samples int
}

// AddRun counts so many more samples of a gateway.
func AddRun(runs []Run, gateway uint32, samples int) []Run {
	if n := len(runs); n > 0 && runs[n-1].Gateway == gateway {
		runs[n-1].Samples += samples
		return runs
	}
	return append(runs, Run{gateway, samples})
}
