package store

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
)

// The scrapers of a pair, by number.
const a, b = 0, 1

var pair = []string{"a", "b"}

// policies are whether the newest are taken when a hub is full.
var policies = []bool{false, true}

// One server of a pair that is dead stops nobody, whatever the policy: nothing is
// refused, the other one gets everything, and the dead one, when it is back, the
// latest that the hub has room for, in bites.
func TestDeadServerOfAPair(t *testing.T) {
	const limit, pushes = 20, 100
	for _, newest := range policies {
		h := newHub(t, Config{Scrapers: pair, Samples: limit, Newest: newest})
		var got []string
		for i := range int64(pushes) {
			m, err := h.try(at("x", i, i))
			require.NoError(t, err)
			assert.Zero(t, m.LetGo)
			got = append(got, h.take(a, most(8))...)
		}
		assert.Equal(t, lines("x", 0, pushes), got)
		assert.Zero(t, h.pending())
		assert.Equal(t, limit, h.Log.Behind())
		assert.EqualValues(t, pushes-limit, h.Log.LeftBehind(), newest)

		for _, want := range [][2]int64{{80, 88}, {88, 96}, {96, 100}} {
			assert.Equal(t, lines("x", want[0], want[1]), h.take(b, most(8)))
		}
		h.push(at("x", pushes, pushes))
		assert.Equal(t, lines("x", pushes, pushes+1), h.take(b, most(8)))
		assert.EqualValues(t, pushes-limit, h.Log.LeftBehind())
	}
}

// With both dead it is as with one alone: what nobody has is refused, or let go and
// counted once, and what only one of them lacks makes room before.
func TestBothOfAPairAreDead(t *testing.T) {
	const limit = 20
	for _, newest := range policies {
		h := newHub(t, Config{Scrapers: pair, Samples: limit, Newest: newest})
		next := int64(0)
		push := func() (samples.Made, error) {
			m, err := h.try(at("x", next, next))
			if err == nil {
				next++
			}
			return m, err
		}
		fill := func() {
			for range limit {
				m, err := push()
				require.NoError(t, err)
				require.Zero(t, m.LetGo)
			}
		}
		fill()
		require.Len(t, h.take(a, all), limit)
		fill()
		assert.Equal(t, limit, h.pending())
		assert.EqualValues(t, limit, h.Log.LeftBehind())
		m, err := push()
		if newest {
			require.NoError(t, err)
			assert.Equal(t, 1, m.LetGo)
		} else {
			assert.ErrorContains(t, err, "the hub holds 20 samples that wait to be scraped, this push has 1, and the limit is 20")
		}
		assert.EqualValues(t, limit, h.Log.LeftBehind(), newest)
		assert.Equal(t, lines("x", next-limit, next), h.take(a, all))
		assert.Equal(t, lines("x", next-limit, next), h.take(b, all))
	}
}

// A scraper of which one part is dead has not got everything, so it leaves nobody behind.
func TestDeadPartIsNobodysLead(t *testing.T) {
	h := newHub(t, Config{Scrapers: pair, Samples: 1000})
	for i := range int64(10) {
		h.push(fleet(100, i))
		h.take(a, part(0, 2))
	}
	assert.Contains(t, h.refused(fleet(1, 10), "hub_full"), "the hub holds 1000 samples")
	assert.Len(t, h.take(b, all), 1000)
	h.push(fleet(1, 10))
}

// All parts of a dead scraper are left behind together, and what that costs is counted once.
func TestPartsOfADeadServer(t *testing.T) {
	const limit, gateways, rounds = 1000, 100, 50
	h := newHub(t, Config{Scrapers: pair, Samples: limit})
	for p := range 4 {
		h.take(b, part(p, 4))
	}
	for i := range int64(rounds) {
		h.push(fleet(gateways, i))
		h.take(a, all)
	}
	assert.EqualValues(t, rounds*gateways-limit, h.Log.LeftBehind())
	got := 0
	for p := range 4 {
		got += len(h.take(b, part(p, 4)))
	}
	assert.Equal(t, limit, got)
}

// A scrape that was under way when its scraper was left behind moves the cursor no less
// far, and each sample is passed, or left behind, once.
func TestLeftBehindDuringAScrape(t *testing.T) {
	h := newHub(t, Config{Scrapers: pair, Samples: 10})
	push := func(from, to int64) {
		for i := from; i < to; i++ {
			h.push(at("x", i, i))
			h.take(a, all)
		}
	}
	push(0, 10)
	o := h.offer(h.read(b, all))
	push(10, 15)
	assert.Zero(t, h.Log.LeftBehind(), "what is on its way to it is in nobody's way")
	passed, moved := h.Log.Take(o)
	assert.True(t, moved)
	assert.Equal(t, samples.Tally{Passed: 10}, passed)

	slow := h.offer(h.read(b, all))
	push(15, 40)
	assert.EqualValues(t, 15, h.Log.LeftBehind(), "of what came behind it")
	assert.Equal(t, lines("x", 30, 40), h.read(b, all).text)
	passed, moved = h.Log.Take(slow)
	assert.True(t, moved)
	assert.Equal(t, samples.Tally{Passed: 5}, passed)
	assert.Equal(t, lines("x", 30, 40), h.take(b, all))
	assert.EqualValues(t, 15, h.Log.LeftBehind())
}

// What was on its way to a scraper, did not arrive and had to make room meanwhile counts as
// left behind, or where nobody else has it as let go.
func TestLostScrapeOfOneLeftBehind(t *testing.T) {
	h := newHub(t, Config{Scrapers: pair, Samples: 10})
	h.push(body(lines("x", 0, 10)))
	h.take(a, all)
	o := h.offer(h.read(b, all))
	for i := range int64(30) {
		h.push(at("x", 10+i, 10+i))
		h.take(a, all)
	}
	assert.EqualValues(t, 20, h.Log.LeftBehind())
	assert.Zero(t, h.Log.Withdraw(o))
	assert.EqualValues(t, 30, h.Log.LeftBehind())
	assert.Equal(t, lines("x", 30, 40), h.take(b, all))
}

// While one server is dead a gateway that floods is refused as ever, and what the other
// server has is held against nobody.
func TestFloodBesideADeadServer(t *testing.T) {
	const limit, gateways = 100_000, 9
	for _, newest := range policies {
		h := newHub(t, Config{Scrapers: pair, Samples: limit, Newest: newest})
		push := func(gateway string, samples int) error {
			m, err := h.try(gatewayBody(gateway, 10, samples/10))
			assert.Zero(t, m.LetGo)
			return err
		}
		for range 6 { // so that the log is full of what b lacks
			require.NoError(t, push("flood", limit/4))
			h.settle(h.read(a, all))
		}
		require.Positive(t, h.Log.LeftBehind())
		for g := range gateways {
			require.NoError(t, push(strconv.Itoa(g), 250))
		}
		flooded := 0
		var err error
		for ; err == nil && flooded < 3*limit; flooded += 2500 {
			err = push("flood", 2500)
		}
		require.ErrorContains(t, err, `gateway "flood" holds `, newest)
		assert.InDelta(t, limit-limit/8, flooded, 2*2500, "room that b's samples take is room")
		for g := range gateways {
			assert.NoError(t, push(strconv.Itoa(g), 1000), "%v: gateway %d", newest, g)
		}
		assert.Error(t, push("flood", 2500), newest)
	}
}

// What every scraper has passed is not held against a gateway while it shares a
// segment with what waits.
func TestPassedSamplesDoNotCountForTheShare(t *testing.T) {
	const segment = 8192
	h := newHub(t, Config{Samples: segment})
	h.push(gatewayBody("a", 10, 200))
	h.take(0, all)
	h.push(gatewayBody("b", 10, 150))
	h.push(gatewayBody("c", 10, 150))
	_, err := h.try(gatewayBody("a", 10, 420))
	assert.NoError(t, err, "twice the even share is %d", 2*segment/3)
}

// A server that is given one sample of a series at a time, and falls behind, keeps
// the other server of its pair from nothing.
func TestOneAtATimeBesideAHealthyServer(t *testing.T) {
	const limit = 50
	h := newHub(t, Config{Scrapers: pair, Samples: limit})
	for i := range int64(10) {
		h.push(body(lines("x", 10*i, 10*i+10)))
		assert.Equal(t, lines("x", 10*i, 10*i+10), h.take(b, all))
		assert.Len(t, h.take(a, one()), 1)
		assert.LessOrEqual(t, h.Log.Behind(), limit)
	}
	assert.Zero(t, h.pending())
	assert.Equal(t, 100, int(h.Log.LeftBehind())+10+h.Log.Behind(), "each is left behind, given or waits")
}

// Alone it keeps what it has not got, and the hub refuses what has no room.
func TestOneAtATimeIsBounded(t *testing.T) {
	h := newHub(t, Config{Samples: 100})
	taken := int64(0)
	var got []string
	for range 5 {
		if _, err := h.try(body(lines("x", taken, taken+50))); err == nil {
			taken += 50
		}
		got = append(got, h.take(0, one())...)
		assert.LessOrEqual(t, h.pending(), 100)
	}
	assert.Equal(t, int64(100), taken)
	for h.pending() > 0 {
		got = append(got, h.take(0, one())...)
	}
	assert.Equal(t, lines("x", 0, taken), got)
}

// What one gets at a time is kept through the expiry of series and another number of parts.
func TestOneAtATimeKeepsWhatWaits(t *testing.T) {
	h := newHub(t, Config{})
	for i := range int64(4) {
		h.push(at("x", i, i) + at("y", i, i))
	}
	assert.Equal(t, []string{"x 0 0", "y 0 0"}, h.take(0, one()))
	assert.Equal(t, 6, h.pending())
	assert.Zero(t, h.Expire(h.now.Add(3*time.Hour), nothing))
	var got []string
	for p := range 2 {
		got = append(got, h.take(0, part(p, 2))...)
	}
	assert.ElementsMatch(t, append(lines("x", 1, 4), lines("y", 1, 4)...), got)
	assert.Zero(t, h.pending())
}

// However small a response may be, one at a time comes in order.
func TestOneAtATimeInSmallBites(t *testing.T) {
	h := newHub(t, Config{})
	h.push(body(lines("x", 0, 8)))
	c := one()
	c.Most = 2
	for i := range int64(8) {
		assert.Equal(t, lines("x", i, i+1), h.take(0, c))
	}
	assert.Zero(t, h.pending())
}

// Of three servers one that is behind has room made at its cost alone, and another that is
// left behind by the same push at its own.
func TestTwoAreLeftBehindAtOnce(t *testing.T) {
	h := newHub(t, Config{Scrapers: []string{"a", "b", "c"}, Samples: 20})
	const c = 2
	h.push(body(lines("x", 0, 10)))
	assert.Len(t, h.take(b, most(1)), 1)
	h.take(a, all)
	h.push(body(lines("x", 10, 15)))
	h.take(c, all)
	assert.Zero(t, h.pending())

	m, err := h.try(body(lines("x", 15, 31)))
	require.NoError(t, err)
	assert.Equal(t, samples.Made{Left: []string{"a", "b"}}, samples.Made{Left: sorted(m.Left), LetGo: m.LetGo})
	assert.EqualValues(t, 1+10, h.Log.LeftBehind())
	assert.Equal(t, 20, h.Log.Behind())
	for scraper, want := range []int64{11, 11, 15} {
		assert.Equal(t, lines("x", want, 31), h.take(scraper, all))
	}
}

func sorted(all []string) []string { slices.Sort(all); return all }

// It is told once when a scraper is left behind, and once when it has caught up; a
// scraper that is only slow does not end it.
func TestLeavingBehindIsToldOnce(t *testing.T) {
	h := newHub(t, Config{Scrapers: pair, Samples: 10})
	var left []string
	push := func(samples int) {
		for range samples {
			m, err := h.try(at("x", 1, 1))
			require.NoError(t, err)
			left = append(left, m.Left...)
			h.settle(h.read(a, all))
		}
	}
	back := func() bool { _, is := h.Log.CaughtUp(b); return is }
	for episode := 1; episode <= 2; episode++ {
		push(12)
		h.take(b, most(3))
		assert.False(t, back())
		push(4)
		h.take(b, most(3))
		assert.False(t, back())
		assert.Equal(t, slices.Repeat([]string{"b"}, episode), left)
		h.take(b, most(3))
		without, is := h.Log.CaughtUp(b)
		assert.True(t, is)
		assert.Equal(t, 2+episode, int(without))
		h.take(b, most(3))
		assert.False(t, back(), "it was told")
	}
}

// Of two scrapes of a part that overlap the second moves nothing: what came behind the
// first comes again, and each of the part's own samples counts once.
func TestOverlappingScrapesOfAPartCountOnce(t *testing.T) {
	h := newHub(t, Config{})
	var ends []*samples.Offer
	for i := range int64(2) {
		h.push(fleet(20, i))
		for p := range 2 {
			ends = append(ends, h.offer(h.read(0, part(p, 2))))
		}
	}
	passed := 0
	for i, o := range ends {
		tally, moved := h.Log.Take(o)
		assert.Equal(t, i < 2, moved)
		passed += tally.Passed
	}
	assert.Equal(t, 20, passed)
	for p := range 2 {
		tally, moved := h.settle(h.read(0, part(p, 2)))
		assert.True(t, moved)
		passed += tally.Passed
	}
	assert.Equal(t, 40, passed)
	assert.Zero(t, h.pending())
}

// Of two scrapes that overlap, the samples that both dropped count once.
func TestDroppedSamplesCountOnce(t *testing.T) {
	h := newHub(t, Config{})
	recent := all
	recent.Oldest = 100
	h.push(at("x", 1, 1))
	first := h.offer(h.read(0, recent))
	h.push(at("x", 1, 200))
	second := h.offer(h.read(0, recent))
	passed, _ := h.Log.Take(first)
	assert.Equal(t, samples.Tally{Passed: 1, TooOld: 1}, passed)
	passed, moved := h.Log.Take(second)
	assert.False(t, moved)
	assert.Zero(t, passed)
	passed, _ = h.settle(h.read(0, recent))
	assert.Equal(t, samples.Tally{Passed: 1}, passed)
}

// Of two scrapes that read the same, the slower one does not bring back what was handed
// over since.
func TestSlowerScrapeBringsNothingBack(t *testing.T) {
	h := newHub(t, Config{})
	h.push(body(lines("x", 0, 4)))
	h.take(0, one())
	fast, slow := h.offer(h.read(0, one())), h.offer(h.read(0, one()))
	_, moved := h.Log.Take(fast)
	assert.True(t, moved)
	h.take(0, one())
	_, moved = h.Log.Take(slow)
	assert.False(t, moved)
	assert.Equal(t, lines("x", 3, 4), h.take(0, all))
}

// A scrape that was under way when its scraper was split in another way counts for its own
// way; the other one gives everything by itself, and none is left out.
func TestScrapeOfAFormerSplit(t *testing.T) {
	h := newHub(t, Config{})
	h.push(fleet(20, 1))
	former := h.offer(h.read(0, all))
	half := h.take(0, part(0, 2))
	passed, moved := h.Log.Take(former)
	assert.True(t, moved)
	assert.Equal(t, 20, passed.Passed)
	assert.Zero(t, h.pending(), "it has everything")
	assert.Empty(t, h.take(0, part(1, 2)), "so its parts need no more")
	assert.NotEmpty(t, half)
}

// What is let go is what no scraper gets, as far as it can be told where a scraper
// is split: a part that is in front has some of it.
func TestLetGoWithParts(t *testing.T) {
	h := newHub(t, Config{Samples: 2000, Newest: true})
	got := map[string]bool{}
	take := func(p int) {
		for _, line := range h.take(0, part(p, 2)) {
			got[line] = true
		}
	}
	h.push(fleet(2000, 1))
	take(0)
	m, err := h.try(fleet(2000, 2))
	require.NoError(t, err)
	take(0)
	take(1)
	assert.InEpsilon(t, 4000-len(got), m.LetGo, 0.1)
	assert.Less(t, len(got), 4000)
}

// A series that is in one part stays there while the hub makes room, so that what a part
// gets is always its own.
func TestPartsKeepTheirSeriesWhenRoomIsMade(t *testing.T) {
	h := newHub(t, Config{Samples: 200, Newest: true})
	homes := map[string]int{}
	for i := range int64(20) {
		h.push(fleet(50, i))
		p := int(i) % 3
		for _, line := range h.take(0, part(p, 3)) {
			name, _, _ := strings.Cut(line, " ")
			home, known := homes[name]
			require.True(t, !known || home == p, line)
			homes[name] = p
		}
	}
	assert.Len(t, homes, 50)
}

// Nobody is left behind for what is only on its way to another: where both servers of a pair
// read and store nothing, as with full disks, nothing that was taken in is lost.
func TestPairThatStoresNothing(t *testing.T) {
	const limit = 20
	h := newHub(t, Config{Scrapers: pair, Samples: limit})
	taken := int64(0)
	fill := func() {
		for {
			if _, err := h.try(at("x", taken, taken)); err != nil {
				return
			}
			taken++
		}
	}
	for range 5 {
		for scraper := range pair {
			fill()
			o := h.offer(h.read(scraper, most(limit/2)))
			fill()
			h.Log.Withdraw(o)
		}
	}
	assert.Zero(t, h.Log.LeftBehind())
	assert.Equal(t, lines("x", 0, taken), h.take(a, all))
	assert.Equal(t, lines("x", 0, taken), h.take(b, all))
}

// Of several responses on their way from one place, what each alone would have brought counts
// once, when all that would have are lost or one that is shorter arrives.
func TestWhatIsLostOfSeveralResponses(t *testing.T) {
	const limit = 10
	setup := func() (h *hub, short, long *samples.Offer) {
		h = newHub(t, Config{Scrapers: pair, Samples: limit})
		h.push(body(lines("x", 0, limit)))
		h.take(a, all)
		short, long = h.offer(h.read(b, most(3))), h.offer(h.read(b, all))
		for i := int64(limit); i < 4*limit; i++ {
			h.push(at("x", i, i))
			h.take(a, all)
		}
		require.EqualValues(t, 2*limit, h.Log.LeftBehind(), "what came behind them")
		return h, short, long
	}
	h, short, long := setup()
	h.Log.Withdraw(short)
	assert.EqualValues(t, 2*limit, h.Log.LeftBehind(), "the other may bring it")
	h.Log.Withdraw(long)
	assert.EqualValues(t, 3*limit, h.Log.LeftBehind())

	h, short, long = setup()
	h.Log.Withdraw(long)
	assert.EqualValues(t, 2*limit+7, h.Log.LeftBehind())
	h.Log.Withdraw(short)
	assert.EqualValues(t, 3*limit, h.Log.LeftBehind())

	h, short, long = setup()
	passed, moved := h.Log.Take(short)
	assert.True(t, moved)
	assert.Equal(t, 3, passed.Passed)
	passed, moved = h.Log.Take(long)
	assert.True(t, moved)
	assert.Equal(t, limit-3, passed.Passed)
	assert.EqualValues(t, 2*limit, h.Log.LeftBehind())

	h, short, long = setup()
	h.Log.Take(short)
	h.Log.Withdraw(long)
	assert.EqualValues(t, 2*limit+7, h.Log.LeftBehind())

	h, short, long = setup()
	h.Log.Take(long)
	_, moved = h.Log.Take(short)
	assert.False(t, moved)
	assert.EqualValues(t, 2*limit, h.Log.LeftBehind())
	assert.Equal(t, lines("x", 3*limit, 4*limit), h.take(b, all))
}
