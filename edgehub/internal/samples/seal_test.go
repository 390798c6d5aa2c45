package samples

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/block"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// sealLog makes a log with so many blocks' worth of samples, and returns what they are.
func sealLog(t *testing.T, blocks int) (*Log, *Cursor, *Columns) {
	l, cursors := testLog(16*segmentSize, false, 1) // of which a quarter is a block
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), 4*blocks*segmentSize)
	l.append(t, batch)
	return l, cursors[0], batch
}

// What is young stays in columns, and so does what is too little for a block.
func TestSealWaits(t *testing.T) {
	l, c, batch := sealLog(t, 1)
	now := time.Now()
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), 4*segmentSize-1))
	assert.False(t, l.ToSeal(now.Add(sealAfter/2)))
	l.Seal(now.Add(sealAfter / 2))
	assert.Zero(t, l.inBlocks())
	assert.True(t, l.ToSeal(now.Add(2*sealAfter)))
	l.Seal(now.Add(2 * sealAfter))
	assert.Equal(t, 4, l.inBlocks())
	samples, bytes := l.Sealed()
	assert.Equal(t, []int{4 * segmentSize, l.segments[0].block.Size()}, []int{samples, bytes})
	assert.False(t, l.ToSeal(now.Add(2*sealAfter)))
	assert.True(t, l.read(t, c).samples(t).part(0, batch.Len()).equal(*batch))
}

// What has to wait behind what is sealed is sealed at once, unless that is on its way.
func TestSealBehindABlock(t *testing.T) {
	l, c, batch := sealLog(t, 1)
	now := time.Now()
	l.Seal(now.Add(2 * sealAfter))
	require.Equal(t, 4, l.inBlocks())
	l.append(t, batch)
	o := l.Offer(c, 0, uint64(batch.Len()), Tally{Passed: batch.Len()})
	assert.False(t, l.ToSeal(now))
	l.Withdraw(o)
	assert.True(t, l.ToSeal(now))
	l.take(c, 0, uint64(batch.Len())-1)
	assert.True(t, l.ToSeal(now))
	l.take(c, uint64(batch.Len())-1, uint64(batch.Len()))
	assert.False(t, l.ToSeal(now))
}

// A block is read from any position to any other, whatever of it is dropped.
func TestCursorsWithinABlock(t *testing.T) {
	l, c, batch := sealLog(t, 2)
	l.Seal(time.Now().Add(time.Hour))
	require.Equal(t, 8, l.inBlocks())
	for _, to := range []uint64{1, segmentSize - 1, segmentSize, 2*segmentSize + 7, 4*segmentSize - 1, 4*segmentSize + 1, 8*segmentSize - 1} {
		l.take(c, l.At(c), to)
		assert.Len(t, l.segments, 8-int(to/segmentSize))
		v := l.read(t, c)
		assert.True(t, v.samples(t).equal(batch.part(int(to), batch.Len())), "from %d", to)
		v.To = min(v.To, v.From+segmentSize+1)
		assert.True(t, v.samples(t).equal(batch.part(int(to), int(v.To))), "from %d", to)
	}
}

// While a block is made its segments may be dropped, and read.
func TestSealBesideOthers(t *testing.T) {
	for _, dropped := range []int{0, 1, 3, 4, 5, 8} {
		l, c, batch := sealLog(t, 2)
		before := l.read(t, c)
		var parts []block.Samples
		for _, s := range l.segments[:4] {
			parts = append(parts, block.Samples(s.Columns))
		}
		l.take(c, 0, uint64(dropped*segmentSize))
		l.sealLocked(0, 4, new(block.Encoder).Encode(parts))
		assert.Equal(t, max(0, 4-dropped), l.inBlocks())
		assert.Equal(t, l.inBlocks(), l.sealed)
		assert.True(t, before.samples(t).equal(*batch))
		assert.True(t, l.read(t, c).samples(t).equal(batch.part(dropped*segmentSize, batch.Len())), "%d dropped", dropped)
	}
}

// What a block does not make smaller stays as it is, and is not tried again.
func TestSealOfWhatDoesNotPack(t *testing.T) {
	l, cursors := testLog(16*segmentSize, false, 1)
	r := rand.New(rand.NewPCG(1, 1))
	batch := new(Columns)
	for range 4 * segmentSize {
		batch.Add(series.ID(r.Uint32N(1<<16)), int64(r.Uint64()), math.Float64frombits(r.Uint64()))
	}
	l.append(t, batch)
	later := time.Now().Add(time.Hour)
	l.Seal(later)
	assert.Zero(t, l.inBlocks())
	assert.False(t, l.ToSeal(later))
	next := randomBatch(r, 4*segmentSize)
	l.append(t, next)
	l.Seal(later)
	assert.Equal(t, 4, l.inBlocks())
	same := slices.EqualFunc(l.read(t, cursors[0]).samples(t).Values, slices.Concat(batch.Values, next.Values),
		func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) })
	assert.True(t, same)
}

// Pushes, scrapes and several who seal get along.
func TestSealConcurrently(t *testing.T) {
	l, cursors := testLog(1<<19, false, 1)
	var all sync.WaitGroup
	const batches, size = 60, segmentSize
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), size)
	all.Go(func() {
		for range batches {
			l.append(t, batch)
		}
	})
	for range 2 {
		all.Go(func() {
			for range 100 {
				l.Seal(time.Now().Add(time.Hour))
			}
		})
	}
	sum := 0 // of what was taken, in hundredths
	for l.At(cursors[0]) < batches*size {
		v, ok := l.Read(cursors[0], math.MaxUint64, 0)
		require.True(t, ok)
		v.To = v.From + (v.To-v.From+1)/2
		for s := range v.Samples(func(series.ID) bool { return true }) {
			for _, value := range s.Values {
				sum += int(math.Round(100 * value))
			}
		}
		l.take(cursors[0], v.From, v.To)
	}
	all.Wait()
	want := 0
	for _, value := range batch.Values {
		want += batches * int(math.Round(100*value))
	}
	assert.Equal(t, want, sum)
	assert.Empty(t, l.segments)
}
