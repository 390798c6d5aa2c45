package roster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
)

// The roster agrees with the rules, looked up in the whole history of answers
// for each name by itself.
func TestRosterAgreesWithTheHistory(t *testing.T) {
	type entry struct {
		at    time.Time
		named map[string]bool
	}
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 2))
		r := newRoster(time.Minute, idle)
		var history []entry
		member := func(name string) bool {
			is, twice, missing := history[0].named[name], false, time.Time{}
			for _, e := range history {
				switch {
				case e.named[name]:
					is = is || twice
					twice, missing = true, time.Time{}
				case missing.IsZero():
					twice, missing = false, e.at
				case e.at.Sub(missing) >= time.Minute:
					is = false
				}
			}
			return is
		}
		now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		up := map[string]bool{}
		moves := 0
		for range 300 {
			now = now.Add(time.Duration(random.IntN(30)) * time.Second)
			e := entry{now, map[string]bool{"always": true}}
			for i := range 8 {
				name := fmt.Sprint("hub-", i)
				if random.IntN(8) == 0 {
					up[name] = !up[name]
				}
				if up[name] {
					e.named[name] = true
				}
			}
			history = append(history, e)
			var answer, want []string
			for name := range e.named {
				answer = append(answer, name)
			}
			before := r.hubs()
			change := r.take(hubsNamed(answer...), now)
			for i := range 8 {
				if name := fmt.Sprint("hub-", i); member(name) {
					want = append(want, name)
				}
			}
			want = append([]string{"always"}, want...)
			require.Equal(t, hubsNamed(want...), r.hubs(), "seed %d", seed)
			require.Equal(t, slices.Equal(before, r.hubs()), change.none(), "seed %d", seed)
			moves += len(change.joined) + len(change.left)
		}
		require.Greater(t, moves, 50)
	}
}

// The change says who joined, left and was altered.
func TestRosterChange(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRoster(time.Minute, idle)
	old := []string{"a", "b", "b1", "b2", "b3", "b4", "b5", "b6", "c"}
	assert.Equal(t, rosterChange{joined: old}, r.take(hubsNamed(old...), now))
	moved := hubsNamed("c", "d", "e")
	moved[0].Weight = 2
	assert.Equal(t, rosterChange{altered: []string{"c"}}, r.take(moved, now))
	now = now.Add(time.Minute)
	assert.Equal(t, rosterChange{joined: []string{"d", "e"}, left: old[:8]}, r.take(moved, now))
	assert.Equal(t, moved, r.hubs())
	assert.True(t, r.take(moved, now).none())
}

// placed are hubs that name a placement.
func placed(placement string, hubs []members.Hub) []members.Hub {
	for i := range hubs {
		hubs[i].Placement = placement
	}
	return hubs
}

// Another placement has to be named twice, and holds for all members then: those that the answer does not name, too.
func TestRosterTakesAPlacementThatIsNamedTwice(t *testing.T) {
	const circle, small = "consistent/partitions=271/replicas=20/load=1.25", "consistent/partitions=71/replicas=20/load=1.25"
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRoster(time.Minute, idle)
	is := func(placement, names string) {
		t.Helper()
		assert.Equal(t, placed(placement, hubsNamed(strings.Fields(names)...)), r.hubs())
	}
	answer := func(placement, names string) rosterChange {
		now = now.Add(time.Second)
		return r.take(placed(placement, hubsNamed(strings.Fields(names)...)), now)
	}
	assert.Equal(t, rosterChange{joined: []string{"a", "b"}}, answer(circle, "a b"), "the first answer says it at once")
	is(circle, "a b")
	for _, placement := range []string{"", circle, "", small, "", circle} { // never one twice
		assert.True(t, answer(placement, "a b").none())
		assert.Equal(t, placement != circle, r.unsure())
		is(circle, "a b")
	}
	assert.True(t, answer("", "a c").none())
	before := r.clone()
	assert.Equal(t, rosterChange{joined: []string{"c"}, placed: true}, answer("", "a c"))
	is("", "a b c")
	assert.False(t, r.unsure())
	r.takeBack(before)
	is(circle, "a b")
	assert.Equal(t, rosterChange{joined: []string{"c"}, placed: true}, answer("", "a c"), "it need not be named twice again")
	is("", "a b c")
}

// A change of weights that comes with another placement waits for it: gateways move once, and weights that the old placement
// does not know are no fault.
func TestRosterHasWeightsWaitForAPlacement(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRoster(time.Minute, idle)
	old, next := placed("consistent/partitions=71/replicas=20/load=1.25", hubsNamed("a", "b")), hubsNamed("a", "b")
	next[0].Weight, next[1].URL = 2, "http://b:81"
	r.take(old, now)
	assert.Equal(t, rosterChange{altered: []string{"b"}}, r.take(next, now), "an address holds at once")
	assert.Equal(t, old[0], r.hubs()[0])
	assert.Equal(t, rosterChange{altered: []string{"a"}, placed: true}, r.take(next, now))
	assert.Equal(t, next, r.hubs())
}

// Members that are missing leave in time also where each answer until then was refused because of them.
func TestRosterForgetsNoTimeOfWhatIsTakenBack(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRoster(time.Minute, idle)
	r.take(hubsNamed("a", "b"), now)
	answer := hubsNamed("a")
	answer[0].Weight = 2 // the circle needs the same weight of b
	for range 6 {
		before := r.clone()
		now = now.Add(10 * time.Second)
		assert.Equal(t, rosterChange{altered: []string{"a"}}, r.take(answer, now))
		r.takeBack(before)
		assert.Equal(t, hubsNamed("a", "b"), r.hubs())
	}
	before := r.clone()
	now = now.Add(10 * time.Second)
	assert.Equal(t, rosterChange{altered: []string{"a"}, left: []string{"b"}}, r.take(answer, now))
	r.takeBack(before)
	assert.Equal(t, hubsNamed("a", "b"), r.hubs())
	assert.Equal(t, rosterChange{altered: []string{"a"}, left: []string{"b"}}, r.take(answer, now))
	assert.Equal(t, answer, r.hubs())
}

// idle are hubs that take nothing, or are gone.
func idle(string, time.Time) bool { return false }

// An answer that names one of ten hubs while the others take pushes is not believed; those that are stopped leave.
func TestRosterWeighsWhatItSees(t *testing.T) {
	begin := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		named, taking string // of the hubs abcdefghij
		stay          string
	}{
		{"a", "abcdefghij", "abcdefghij"},
		{"a", "", "a"},                             // the others are stopped
		{"a", "abc", "abc"},                        // so are most of them
		{"a", "ab", "a"},                           // it may be meant so
		{"abcde", "abcdefghij", "abcde"},           // as is a rescale to half
		{"abcd", "abcdefghij", "abcdefghij"},       // less than half is none
		{"abcd", "abcdefgh", "abcd"},               // two of them are down
		{"klmnopqrst", "abcdefghij", "klmnopqrst"}, // others in place of all
	} {
		taking := c.taking
		r := newRoster(time.Minute, func(name string, since time.Time) bool {
			assert.True(t, since.After(begin))
			return strings.Contains(taking, name)
		})
		r.take(hubsNamed(strings.Split("abcdefghij", "")...), begin)
		answer := hubsNamed(strings.Split(c.named, "")...)
		now := begin
		for range 30 {
			now = now.Add(10 * time.Second)
			r.take(answer, now)
		}
		assert.Equal(t, hubsNamed(strings.Split(c.stay, "")...), r.hubs(), "%s named, %s take", c.named, c.taking)
		assert.Len(t, r.kept, len(r.hubs())-len(c.named))
		taking = ""
		r.take(answer, now.Add(time.Minute))
		assert.Equal(t, answer, r.hubs())
		assert.Empty(t, r.kept)
	}
}

// Members that are missing and new ones may be more than a ring takes. The new
// ones wait for room.
func TestRosterWaitsForRoom(t *testing.T) {
	const kept = 4000
	old := make([]string, hashring.MaxNodes)
	for i := range old {
		old[i] = fmt.Sprintf("hub-%05d", i)
	}
	next := slices.Clone(old[:kept])
	for i := range hashring.MaxNodes - kept {
		next = append(next, fmt.Sprintf("new-%05d", i))
	}
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	r := newRoster(time.Minute, idle)
	r.take(hubsNamed(old...), now)
	for range 3 {
		assert.True(t, r.take(hubsNamed(next...), now).none())
		assert.Len(t, r.members, hashring.MaxNodes)
	}
	now = now.Add(time.Minute)
	change := r.take(hubsNamed(next...), now)
	assert.Len(t, change.left, hashring.MaxNodes-kept)
	assert.Len(t, change.joined, hashring.MaxNodes-kept)
	assert.Equal(t, hubsNamed(next...), r.hubs())
	assert.Empty(t, r.fresh)
}
