package store

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

func TestIdleSeriesAreForgotten(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	h.push("# TYPE gone gauge\n" + at("gone", 1, 1) + at("stays", 1, 1))
	h.take(0, all)
	for range 5 {
		h.now = h.now.Add(20 * time.Minute)
		h.push(at("stays", 1, 1))
		h.take(0, all)
	}
	assert.Equal(t, 1, h.Table().Size())
	assert.EqualValues(t, len("stays"), h.Table().Bytes(), "that of its TYPE line is gone as well")
	assert.EqualValues(t, 1, h.Expired())

	// Its number is used again, and the sender that comes back is a new series.
	h.push("# TYPE gone gauge\n" + at("gone", 2, 2) + at("stays", 2, 2) + at("new", 3, 2))
	assert.Equal(t, []string{"new 3 2", "stays 2 2", "gone 2 2"}, h.take(0, all))
	assert.Equal(t, 3, h.Table().Ranked().Numbers())
}

// While no scraper comes, nothing that waits may lose its name.
func TestWaitingSeriesAreKept(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	h.push(at("x", 1, 5))
	h.now = h.now.Add(24 * time.Hour)
	h.Sweep(h.now, nothing)
	assert.Equal(t, []string{"x 1 5"}, h.take(0, all))
	assert.Equal(t, 1, h.Table().Size(), "it was scraped just now")
	h.Sweep(h.now.Add(2*time.Hour), nothing)
	assert.Zero(t, h.Table().Size())
}

// What is on its way to a scraper waits as well, and comes again under its name.
func TestOfferedSeriesAreKept(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("x", 1, 5))
	o := h.offer(h.read(0, all))
	assert.Zero(t, h.Expire(h.now.Add(time.Hour), nothing))
	h.Log.Withdraw(o)
	assert.Zero(t, h.Expire(h.now.Add(time.Hour), nothing))
	assert.Equal(t, []string{"x 1 5"}, h.take(0, all))
}

// A sweep comes four times in the time after which a series counts as idle, not more often.
func TestSweepsAreFarBetween(t *testing.T) {
	h := newHub(t, Config{IdleSeries: time.Hour})
	swept := 0
	for i := range 9 {
		h.push(at("x"+strings.Repeat("y", i), 1, 1)) // one that goes, so that forget is called
		h.Log.Take(h.offer(h.read(0, all)))
		h.Sweep(h.now.Add(4*time.Hour+time.Duration(i)*5*time.Minute), func([]bool) { swept++ })
	}
	assert.Equal(t, 3, swept)
}

// Who remembers series is told of those that stay before a number becomes free, and not
// where nothing goes.
func TestForgetComesBeforeNumbersAreFree(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("gone", 1, 1) + at("stays", 1, 1))
	h.take(0, all)
	h.push(at("stays", 2, 2))
	told, before := 0, h.Table()
	forget := func(keep []bool) {
		told++
		assert.Equal(t, []bool{false, true}, keep)
		assert.Same(t, before, h.Table(), "the number is free already")
		h.push(at("stays", 3, 3)) // pushes of known series do not wait for who is told
	}
	assert.Equal(t, 1, h.Expire(h.now.Add(time.Hour), forget))
	assert.Equal(t, 1, told)
	assert.NotSame(t, before, h.Table())
	_, rank := h.ReadWaiting()
	assert.False(t, rank.Knows(0))
	h.push(at("new", 1, 4))
	_, rank = h.ReadWaiting()
	assert.Equal(t, "new", rank.Text(0))
	assert.Zero(t, h.Expire(h.now.Add(-time.Hour), forget), "nothing is idle")
	assert.Equal(t, 1, told)
	assert.EqualValues(t, 1, h.Expired())
}

// A series whose sample comes in while the table without it is made stays.
func TestSeriesThatComesBackMeanwhileStays(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("x", 1, 1))
	h.take(0, all)
	before := h.Table()
	assert.Zero(t, h.Expire(h.now.Add(time.Hour), func([]bool) { h.push(at("x", 2, 2)) }))
	assert.Same(t, before, h.Table())
	assert.Zero(t, h.Expired())
	h.push(at("y", 3, 3)) // the table takes names as before
	assert.Equal(t, []string{"x 2 2", "y 3 3"}, h.take(0, all))
	assert.Equal(t, 2, h.Expire(h.now.Add(time.Hour), nothing), "the next time tries again")
}

// A push that read its names from a table that is replaced before its samples are
// in the log reads them again.
func TestPushOutlivesItsTable(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("gone", 1, 1) + at("stays", 1, 1))
	h.take(0, all)
	old := h.Table()
	known, new := read(old, at("stays", 2, 2)), read(old, at("new", 3, 3))
	require.Equal(t, 2, h.Expire(h.now.Add(time.Hour), nothing))
	for _, b := range []*Batch{known, new} {
		_, err := h.Commit(old, b, h.now)
		assert.ErrorIs(t, err, series.ErrReplaced)
	}
	assert.Zero(t, h.pending())
	h.push(at("new", 1, 5) + at("stays", 2, 6))
	assert.Equal(t, []string{"new 1 5", "stays 2 6"}, h.take(0, all))
}

// A table that is replaced between learning a push's names and writing its samples costs the
// push nothing but a second try, and room that was kept for it is given back.
func TestTableIsReplacedInTheMiddleOfAPush(t *testing.T) {
	h := newHub(t, Config{Samples: 10})
	h.push(at("gone", 1, 1))
	h.take(0, all)
	old := h.Table()
	b := read(old, at("new", 1, 2))
	require.NoError(t, old.Learn(&b.Names, h.now, func() error {
		b.assignRuns()
		_, err := h.Log.Reserve(old.Generation, b.Len(), b.Runs)
		return err
	}, h.Log.Arrive))
	b.assignNumbers()
	require.Equal(t, 2, h.Expire(h.now.Add(time.Hour), nothing))
	require.ErrorIs(t, h.Log.Write(old.Generation, &b.Columns, b.Runs, h.now), series.ErrReplaced)
	h.push(strings.Repeat(at("new", 1, 2), 10))
	assert.Equal(t, 10, h.pending())
}

// A gateway without series keeps its number through tables while samples of it are there,
// so that no other gateway answers for them.
func TestGatewayKeepsItsNumberWhileItHasSamples(t *testing.T) {
	h := newHub(t, Config{})
	h.push(gatewayBody("a", 1, 100)) // shares a segment with what comes
	h.take(0, all)
	number := func(name string) uint32 {
		all, _ := h.Table().Gateways(nil, 0, 100)
		for _, g := range all {
			if g.Name == name {
				return g.Number
			}
		}
		return 0
	}
	a := number("a")
	require.NotZero(t, a)
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	assert.Zero(t, h.Table().Size())
	require.True(t, h.Log.Holds(a))
	h.push(at(`x{gatewayID="b"}`, 1, 1))
	assert.NotEqual(t, a, number("b"))
	h.push(at(`y{gatewayID="a"}`, 1, 1))
	assert.Equal(t, a, number("a"), "it is the same when it comes back")
	h.take(0, all)
	require.Equal(t, 2, h.Expire(h.now.Add(time.Hour), nothing))

	h.push(gatewayBody("b", 1, 9000)) // the segment with samples of a is dropped
	h.take(0, all)
	require.False(t, h.Log.Holds(a))
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	h.push(at(`x{gatewayID="c"}`, 1, 1))
	assert.Equal(t, a, number("c"))
}

// A hub whose table is full of idle names forgets them, also when all that
// it could scrape is scraped.
func TestFullTableOfIdleSeriesIsForgotten(t *testing.T) {
	h := newHub(t, Config{Series: series.Limits{Series: 10, GatewaySeries: 10, TableBytes: 1e6}})
	h.push(gatewayBody("flood", 10, 1))
	h.take(0, all)
	require.Zero(t, h.pending())
	h.refused(at("x", 1, 1), "series_limit")
	h.now = h.now.Add(2 * time.Hour)
	h.take(0, all) // an empty one
	h.push(at("x", 1, 1))
}

// Names of families without a series go as well, whether or not a series goes.
func TestFamiliesWithoutSeriesAreForgotten(t *testing.T) {
	h := newHub(t, Config{Series: series.Limits{Series: 10, GatewaySeries: 10, TableBytes: 1e6}})
	h.push(at("x", 1, 1))
	for _, f := range strings.Fields("a b c d e f g h i") {
		h.push("# TYPE " + f + " gauge\n")
	}
	h.refused("# TYPE k gauge\n", "series_limit")
	h.now = h.now.Add(2 * time.Hour)
	h.take(0, all)
	h.push(at("y", 1, 1))
}

// A series that was scraped is known for its time from then on, not from its first push.
func TestScrapedSeriesAreSeen(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("x", 1, 1))
	h.now = h.now.Add(2 * time.Hour)
	h.take(0, all)
	assert.Zero(t, h.Expire(h.now.Add(-time.Hour), nothing))
	assert.Equal(t, 1, h.Table().Size())
}

// A series stays in its part when others expire.
func TestPartsOutliveTheTable(t *testing.T) {
	h := newHub(t, Config{})
	homes := func() map[string]uint32 {
		homes, rank := map[string]uint32{}, h.Table().Ranked()
		for _, id := range rank.Order {
			homes[rank.Text(id)] = rank.Group(id)
		}
		return homes
	}
	h.push(at("gone", 1, 1))
	h.take(0, all)
	h.push(fleet(50, 1)) // these wait, so they stay
	before := homes()
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	delete(before, "gone")
	assert.Equal(t, before, homes())
}

// What was read before a table was replaced is written under the names that it was pushed
// with, and taken.
func TestScrapeOutlivesItsTable(t *testing.T) {
	h := newHub(t, Config{Scrapers: []string{"a", "b"}})
	h.push(at("gone", 1, 1))
	slow := h.read(0, all)
	h.take(0, all)
	h.take(1, all)
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	h.push(at("new", 2, 2))
	assert.Equal(t, "gone", slow.a.Rank.Text(0))
	_, moved := h.settle(slow)
	assert.False(t, moved, "it was faster the other way")
	assert.Equal(t, []string{"new 2 2"}, h.take(0, all))
	assert.Equal(t, []string{"new 2 2"}, h.take(1, all))
}

// A scrape that found its cursor just before its scraper was split in another
// way reads nothing under numbers that were given to other series since.
func TestFormerCursorReadsNothingWrong(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("gone", 1, 1) + at("gone", 2, 2))
	former, _ := h.Log.Cursor(0, 0, 1)
	h.settle(h.readAt(former, most(1)))
	for p := range 2 {
		h.take(0, part(p, 2))
	}
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	h.push(at("new", 7, 3))
	assert.Equal(t, []string{"new 7 3"}, h.readAt(former, all).text)
}

// The cursor of some series that are to come later reads nothing wrong either.
func TestForkOfAFormerSplitReadsNothingWrong(t *testing.T) {
	h := newHub(t, Config{})
	h.push(at("gone", 1, 1) + at("gone", 2, 2))
	former, _ := h.Log.Cursor(0, 0, 1)
	fork := h.Log.Fork(former)
	for p := range 2 {
		h.take(0, part(p, 2))
	}
	require.Equal(t, 1, h.Expire(h.now.Add(time.Hour), nothing))
	h.push(at("new", 7, 3))
	assert.Equal(t, []string{"new 7 3"}, h.readAt(fork, all).text)
	h.Log.Drop(fork)
	var tally samples.Tally
	assert.Equal(t, tally, h.readAt(former, most(0)).a.Tally)
}
