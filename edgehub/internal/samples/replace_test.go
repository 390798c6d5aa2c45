package samples

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// A table is not replaced by one that lacks a series whose sample came in while it
// was made; and samples with the numbers of the one before are neither taken nor read then.
func TestReplace(t *testing.T) {
	l, cursors := testLog(10, false, 1)
	batch := &Columns{IDs: []series.ID{0, 1}, Times: []int64{1, 1}, Values: []float64{1, 1}}
	l.append(t, batch)
	published := 0
	replace := func(since uint64, keep ...bool) bool { return l.Replace(1, since, keep, func() { published++ }) }
	assert.False(t, replace(0, true, false))
	assert.Zero(t, published)
	_, err := l.Reserve(0, 3, []Run{{1, 3}})
	require.NoError(t, err)
	assert.True(t, replace(2, true, false))
	assert.Equal(t, 1, published)

	_, err = l.Append(0, batch, []Run{{1, 2}}, time.Now())
	assert.ErrorIs(t, err, series.ErrReplaced)
	_, err = l.Reserve(0, 1, []Run{{1, 1}})
	assert.ErrorIs(t, err, series.ErrReplaced)
	three := &Columns{IDs: []series.ID{0, 1, 0}, Times: []int64{1, 1, 1}, Values: []float64{1, 1, 1}}
	assert.ErrorIs(t, l.Write(0, three, []Run{{1, 3}}, time.Now()), series.ErrReplaced)
	_, ok := l.Read(cursors[0], 10, 0)
	assert.False(t, ok)
	_, ok = l.Peek(0, 0, 1, 0)
	assert.False(t, ok)
	_, ok = l.ReadWaiting(0)
	assert.False(t, ok)
	assert.Equal(t, 2, l.read(t, cursors[0]).samples(t).Len())
	_, err = l.Reserve(1, 8, []Run{{1, 8}})
	assert.NoError(t, err, "the room that was kept is given back")
}

// What some cursor has not passed is marked, and where that ends.
func TestMark(t *testing.T) {
	l, cursors := testLog(10, false, 2)
	l.append(t, &Columns{IDs: []series.ID{0, 1, 2, 0}, Times: make([]int64, 4), Values: make([]float64, 4)})
	l.take(cursors[0], 0, 3)
	l.take(cursors[1], 0, 2)
	l.Offer(cursors[1], 2, 4, Tally{Passed: 2}) // it may be lost
	keep := make([]bool, 4)
	assert.EqualValues(t, 4, l.Mark(keep))
	assert.Equal(t, []bool{true, false, true, false}, keep)
}

// A gateway that is silent keeps no segment alive that the log dropped.
func TestGatewayForgetsADroppedSegment(t *testing.T) {
	l, cursors := testLog(10*segmentSize, false, 1)
	l.append(t, &Columns{IDs: make([]series.ID, segmentSize), Times: make([]int64, segmentSize), Values: make([]float64, segmentSize)})
	require.NotNil(t, l.accountLocked(1).last)
	l.take(cursors[0], 0, segmentSize)
	assert.Nil(t, l.accountLocked(1).last)
	assert.Zero(t, l.accountLocked(1).held)
	assert.Empty(t, l.segments)
}
