package samples

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// samples are those of a view as they came, which Keys says. Their series have numbers of 16 bits.
func (v View) samples(t *testing.T) (all Columns) {
	t.Helper()
	for s := range v.Keys() {
		all.IDs, all.Times = append(all.IDs, s.IDs...), append(all.Times, s.Times...)
	}
	all.Values = make([]float64, all.Len())
	next := make([]int, 1<<16+1) // by series: which of places is next
	for _, id := range all.IDs {
		next[id+1]++
	}
	for id := range 1 << 16 {
		next[id+1] += next[id]
	}
	places, free := make([]int, all.Len()), slices.Clone(next)
	for i, id := range all.IDs {
		places[free[id]] = i
		free[id]++
	}
	n := 0
	for s := range v.Samples(func(series.ID) bool { return true }) {
		for i, id := range s.IDs {
			at := places[next[id]]
			if all.IDs[at] != id || all.Times[at] != s.Times[i] {
				require.Failf(t, "Keys and Samples differ", "series %d at %d", id, s.Times[i])
			}
			all.Values[at] = s.Values[i]
			next[id]++
			n++
		}
	}
	require.Equal(t, all.Len(), n)
	return all
}

func (c Columns) appended(d Columns) Columns {
	return Columns{append(c.IDs, d.IDs...), append(c.Times, d.Times...), append(c.Values, d.Values...)}
}

func (c Columns) equal(d Columns) bool {
	return slices.Equal(c.IDs, d.IDs) && slices.Equal(c.Times, d.Times) && slices.Equal(c.Values, d.Values)
}

// testLog makes a log with scrapers of one part each, and their cursors.
func testLog(limit int, newest bool, scrapers int) (*Log, []*Cursor) {
	l := New(limit, newest, make([]string, scrapers))
	var cursors []*Cursor
	for i := range scrapers {
		c, _ := l.Cursor(i, 0, 1)
		cursors = append(cursors, c)
	}
	return l, cursors
}

// randomBatch is of a few gateways that report some of their series in order.
func randomBatch(r *rand.Rand, n int) *Columns {
	var batch Columns
	for batch.Len() < n {
		id, ms := series.ID(r.Uint32N(1<<16-300)), r.Int64N(1<<40)
		for range min(n-batch.Len(), 1+r.IntN(300)) {
			batch.Add(id, ms, float64(r.IntN(1e6))/100)
			id++
		}
	}
	return &batch
}

func (l *Log) append(t *testing.T, batch *Columns) {
	t.Helper()
	_, err := l.Append(0, batch, []Run{{1, batch.Len()}}, time.Now())
	require.NoError(t, err)
}

// take moves a cursor as a response does that was read at its place.
func (l *Log) take(c *Cursor, from, to uint64) (Tally, bool) {
	return l.Take(l.Offer(c, from, to, Tally{Passed: int(to - from)}))
}

// inBlocks is the number of segments that are.
func (l *Log) inBlocks() int {
	samples, _ := l.Sealed()
	return samples / int(l.size)
}

func (l *Log) read(t *testing.T, c *Cursor) View {
	t.Helper()
	v, ok := l.Read(c, l.end, l.generation)
	require.True(t, ok)
	return v
}

// The log against plain columns, through random pushes and scrapes, with both
// policies and a scraper that comes seldom or never, while what waits is sealed now and then. Responses are taken, lost, or stay open
// for a while. A sample is passed by a scrape, or it was let go and counted.
func TestLogIsASlice(t *testing.T) {
	const limit = segmentsOfRoom * segmentSize
	seeds := uint64(20)
	if testing.Short() {
		seeds = 4
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 1))
		newest := seed%2 == 1
		l, cursors := testLog(limit, newest, 3)
		scraped, gone := make([]int, len(cursors)), 0
		var model Columns // everything ever appended
		inBlocks := 0
		type open struct {
			i int
			o *Offer
		}
		var offers []open
		settle := func(n int) {
			o := offers[n]
			offers = slices.Delete(offers, n, n+1)
			if r.IntN(3) > 0 {
				passed, _ := l.Take(o.o)
				scraped[o.i] += passed.Passed
			} else {
				gone += l.Withdraw(o.o)
			}
		}
		for range 300 {
			switch {
			case r.IntN(10) == 0:
				l.Seal(time.Now().Add(time.Hour))
				inBlocks += l.inBlocks()
			case r.IntN(3) > 0:
				batch := randomBatch(r, r.IntN(segmentSize))
				before := l.standingLocked()
				half := batch.Len() / 2
				runs := []Run{{1, half}, {2, batch.Len() - half}}
				made, err := l.Append(0, batch, slices.DeleteFunc(runs, func(r Run) bool { return r.Samples == 0 }), time.Now())
				if newest {
					require.NoError(t, err, "seed %d", seed)
					require.Equal(t, max(0, before.pending+batch.Len()-limit), made.LetGo, "seed %d", seed)
					require.LessOrEqual(t, l.standingLocked().most, 2*limit)
					gone += made.LetGo
				} else {
					require.Equal(t, before.pending+batch.Len() <= limit, err == nil, "seed %d", seed)
					require.Zero(t, made.LetGo, "seed %d", seed)
				}
				if err == nil {
					model = model.appended(*batch)
				}
			case len(offers) > 0 && r.IntN(2) == 0:
				settle(r.IntN(len(offers)))
			default:
				i := r.IntN(2)
				if seed%4 < 2 && r.IntN(20) == 0 {
					i = 2
				}
				if len(cursors[i].offers) > 0 {
					continue // a scraper asks once at a time; what overlaps is in TestOverlappingOffers
				}
				v := l.read(t, cursors[i])
				stretch := model.part(int(cursors[i].position), model.Len())
				require.True(t, stretch.equal(v.samples(t)), "seed %d", seed)
				to := v.From + uint64(r.IntN(int(v.To-v.From)+1)) // as a scrape may, it takes a part only
				offers = append(offers, open{i, l.Offer(cursors[i], v.From, to, Tally{Passed: int(to - v.From)})})
			}
			now := l.standingLocked()
			require.LessOrEqual(t, int(l.end-l.floorLocked()), 3*limit, "what is on its way to a scraper, and to the one in front of it, has as much room as the limit")
			require.LessOrEqual(t, len(l.segments), int(l.end-l.floorLocked())/segmentSize+2, "segments that every cursor has passed are kept")
			kept := int(l.end-l.first) - l.released*segmentSize
			require.Equal(t, kept, l.accountLocked(1).held+l.accountLocked(2).held, "what the gateways hold is what is not released")
			require.Less(t, kept-now.pending, segmentSize, "what somebody has is held against gateways")
		}
		for len(offers) > 0 {
			settle(0)
		}
		for i, c := range cursors {
			passed := scraped[i] + int(l.scrapers[i].leftBehind)
			require.LessOrEqual(t, passed, int(c.position), "seed %d: a sample is counted twice", seed)
			if !newest { // what was let go counts for all
				require.Equal(t, int(c.position), passed, "seed %d: each sample is counted once for each scraper", seed)
			}
		}
		require.NotZero(t, l.scrapers[2].leftBehind, "seed %d", seed)
		require.NotZero(t, inBlocks, "seed %d", seed)
	}
}

func TestCursorNeverGoesBack(t *testing.T) {
	l, cursors := testLog(1000, false, 1)
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), 4))
	for _, step := range []struct{ from, to, passed uint64 }{{0, 3, 3}, {0, 2, 0}, {0, 4, 0}, {3, 4, 1}} {
		passed, _ := l.take(cursors[0], step.from, step.to)
		assert.EqualValues(t, step.passed, passed.Passed, "to %d", step.to)
	}
	assert.EqualValues(t, 4, l.At(cursors[0]))
}

// Of two responses from the same place the first that is taken moves the cursor, and the
// other one nothing.
func TestOverlappingOffers(t *testing.T) {
	l, cursors := testLog(1000, false, 1)
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), 10))
	c := cursors[0]
	one, two := l.Offer(c, 0, 6, Tally{Passed: 6}), l.Offer(c, 0, 10, Tally{Passed: 10})
	passed, moved := l.Take(one)
	assert.True(t, moved)
	assert.Equal(t, 6, passed.Passed)
	_, moved = l.Take(two)
	assert.False(t, moved)
	_, moved = l.Take(one)
	assert.False(t, moved, "twice")
	assert.Zero(t, l.Withdraw(two))
	assert.EqualValues(t, 6, l.At(c))
	assert.Equal(t, 4, l.Behind())
}

// What is on its way to a scraper is in no push's way; when it does not arrive it is
// again.
func TestOfferedSamplesTakeNoRoom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	l, cursors := testLog(100, false, 1)
	l.append(t, randomBatch(r, 100))
	full := randomBatch(r, 1)
	_, err := l.Append(0, full, []Run{{1, 1}}, time.Now())
	var refused *FullError
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, "hub_full", refused.Reason)

	o := l.Offer(cursors[0], 0, 100, Tally{Passed: 100})
	pending, _ := l.Pending()
	assert.Zero(t, pending)
	assert.Equal(t, 100, l.Unsure())
	l.append(t, randomBatch(r, 100))
	l.Withdraw(o)
	pending, _ = l.Pending()
	assert.Equal(t, 200, pending)
	_, err = l.Append(0, full, []Run{{1, 1}}, time.Now())
	require.ErrorAs(t, err, &refused)
	assert.Equal(t, 200, l.read(t, cursors[0]).samples(t).Len(), "all of it comes again")
}

// What a scraper gave up while several responses with it were on their way counts as let go when none of them arrives:
// neither a response that began behind it, nor another scraper that gave it up as well because this one was about to have
// it, makes it anybody's.
func TestGivenUpWhileOnItsWay(t *testing.T) {
	start := func(t *testing.T, scrapers int) (l *Log, c *Cursor, shorter, longer *Offer) {
		l, cursors := testLog(40, true, scrapers)
		r, c := rand.New(rand.NewPCG(1, 1)), cursors[0]
		l.append(t, randomBatch(r, 40))
		shorter = l.Offer(c, 0, 40, Tally{Passed: 40})
		l.append(t, randomBatch(r, 10))
		longer = l.Offer(c, 0, 50, Tally{Passed: 50})
		l.append(t, randomBatch(r, 30))
		l.append(t, randomBatch(r, 5))
		require.EqualValues(t, 45, l.At(c))
		return l, c, shorter, longer
	}
	t.Run("and another began behind it", func(t *testing.T) {
		l, c, shorter, longer := start(t, 1)
		l.Offer(c, 45, 60, Tally{Passed: 15})
		assert.Equal(t, 5, l.Withdraw(longer))
		assert.Equal(t, 40, l.Withdraw(shorter))
	})
	t.Run("and another that began behind it arrived", func(t *testing.T) {
		l, c, shorter, longer := start(t, 1)
		_, moved := l.take(c, 45, 60)
		require.True(t, moved)
		assert.Equal(t, 5, l.Withdraw(longer))
		passed, _ := l.Take(shorter)
		assert.Equal(t, 40, passed.Passed)
	})
	t.Run("and another scraper relied on it", func(t *testing.T) {
		l, _, _, longer := start(t, 2)
		made, err := l.Append(0, randomBatch(rand.New(rand.NewPCG(1, 1)), 5), []Run{{1, 5}}, time.Now())
		require.NoError(t, err)
		require.Zero(t, made.LetGo)
		require.EqualValues(t, 40, l.LeftBehind())
		assert.Equal(t, 5, l.Withdraw(longer))
	})
}

// Under Newest what is on its way counts as let go only if it does not arrive.
func TestOfferedSamplesAreLetGoOnlyIfLost(t *testing.T) {
	for _, arrives := range []bool{true, false} {
		r := rand.New(rand.NewPCG(1, 1))
		l, cursors := testLog(100, true, 1)
		l.append(t, randomBatch(r, 60))
		o := l.Offer(cursors[0], 0, 60, Tally{Passed: 60})
		l.append(t, randomBatch(r, 100))
		made, err := l.Append(0, randomBatch(r, 30), []Run{{1, 30}}, time.Now())
		require.NoError(t, err)
		assert.Equal(t, 30, made.LetGo)
		assert.EqualValues(t, 90, l.At(cursors[0]))
		if arrives {
			passed, moved := l.Take(o)
			assert.True(t, moved)
			assert.Equal(t, 60, passed.Passed)
		} else {
			assert.Equal(t, 60, l.Withdraw(o))
		}
		assert.EqualValues(t, 90, l.At(cursors[0]))
	}
}

// Some of a part's series may come later, from a place of their own, which keeps the log.
func TestForks(t *testing.T) {
	l, cursors := testLog(10*segmentSize, false, 1)
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), 3*segmentSize))
	f := l.Fork(cursors[0])
	_, moved := l.take(cursors[0], 0, 3*segmentSize)
	require.True(t, moved)
	assert.Equal(t, 3*segmentSize, l.Behind())
	assert.Len(t, l.segments, 3)
	assert.Equal(t, 3*segmentSize, l.read(t, f).samples(t).Len())
	l.Drop(f)
	assert.Zero(t, l.Behind())
	assert.Empty(t, l.segments)
	l.Drop(f)
	l.Drop(cursors[0])
	assert.Len(t, l.scrapers[0].splits[0].parts[0].cursors, 1, "the main one stays")
}

// Scrapers that share a cursor and come with different numbers of parts each get everything,
// and the log goes on.
func TestSplitsReadOnByTurns(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	l, _ := testLog(1000, false, 1)
	for range 10 {
		l.append(t, randomBatch(r, 10))
		for _, parts := range []int{1, 2} {
			for part := range parts {
				c, _ := l.Cursor(0, part, parts)
				v := l.read(t, c)
				l.take(c, v.From, v.To)
			}
		}
	}
	assert.Zero(t, l.Behind())
	assert.Equal(t, []int{2, 1}, l.Splits(0))
	for parts := 3; parts < 20; parts++ {
		l.Cursor(0, 0, parts)
	}
	assert.Len(t, l.Splits(0), maxSplits)
}

// A scraper that comes with another number of parts begins where the part furthest behind
// was, and an old way of dividing is taken up from there.
func TestSplitBeginsWhereTheLastPartWas(t *testing.T) {
	l, cursors := testLog(1000, false, 1)
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), 30))
	l.take(cursors[0], 0, 10)
	one, resplit := l.Cursor(0, 0, 2)
	assert.True(t, resplit)
	two, resplit := l.Cursor(0, 1, 2)
	assert.False(t, resplit)
	l.take(one, 10, 30)
	l.take(two, 10, 20)
	again, resplit := l.Cursor(0, 0, 1)
	assert.True(t, resplit)
	assert.Same(t, cursors[0], again)
	assert.EqualValues(t, 20, l.At(again))
}

// A view that a scrape reads stays as it was while the log goes on.
func TestViewOutlivesTheLog(t *testing.T) {
	l, cursors := testLog(1<<20, false, 1)
	r := rand.New(rand.NewPCG(1, 1))
	first, second := randomBatch(r, 3*segmentSize), randomBatch(r, 3*segmentSize)
	l.append(t, first)
	v := l.read(t, cursors[0])
	l.take(cursors[0], v.From, v.To)
	l.append(t, second)
	assert.True(t, first.equal(v.samples(t)))
}

// The number of a gateway of which nothing is left may be given away, and not before. Whoever
// gets it is another one.
func TestHolds(t *testing.T) {
	l, cursors := testLog(10*segmentSize, false, 1)
	l.append(t, randomBatch(rand.New(rand.NewPCG(1, 1)), segmentSize+1))
	l.take(cursors[0], 0, segmentSize+1)
	assert.True(t, l.Holds(1), "its last segment is not full")
	assert.False(t, l.Holds(2))
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), segmentSize)
	_, err := l.Append(0, batch, []Run{{2, batch.Len()}}, time.Now())
	require.NoError(t, err)
	l.take(cursors[0], segmentSize+1, 2*segmentSize+1)
	assert.False(t, l.Holds(1))
	l.Arrive([]series.Arrival{{Gateway: 1, Own: series.None, Fresh: true}})
	assert.Zero(t, l.Pushed([]uint32{1})[0])
	assert.NotZero(t, l.Pushed([]uint32{2})[0])
}

// Ages are told by a clock that nobody sets.
func TestAgesOutliveAClockThatIsSetBack(t *testing.T) {
	l, _ := testLog(100, false, 1)
	batch := randomBatch(rand.New(rand.NewPCG(1, 1)), 1)
	_, err := l.Append(0, batch, []Run{{1, 1}}, time.Now())
	require.NoError(t, err)
	l.made = l.made.Add(-time.Hour) // an hour passes
	_, age := l.Pending()
	assert.InDelta(t, time.Hour.Seconds(), age.Seconds(), 60)
	assert.InDelta(t, time.Hour.Seconds(), l.Lags()[0].Age.Seconds(), 60)
}
