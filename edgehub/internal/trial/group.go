package trial

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// fate is what became of a group.
type fate int

const (
	onTrial fate = iota
	joined       // stored, it went on with main
	divided      // others took its place
	outcast      // set aside
)

// group is a set of series on trial. It has a place of its own in the log: between
// there and main's place nobody else writes its samples.
type group[P any] struct {
	place   P
	ids     []series.ID // ascending
	trouble *incident
	version uint64 // changes with ids
	fate    fate

	// left says that a turn of main left samples of it. As long as none did, there are none
	// between its place and main's. Turns set it without a lock.
	left *atomic.Bool

	// What its responses said.
	tested  bool
	clean   bool        // the last one was stored
	passed  bool        // one with samples was stored
	stored  []series.ID // those in stored responses
	cause   Cause       // why the last one was not
	pending *refusal    // it counts if the next response of somebody else is stored
	hit     *refusal    // it counts

	// Where it came from, and what became of it.
	parent  *group[P]
	pair    *pair[P]
	seen    []series.ID // which of them were in the response for which the pair was made
	refused int         // samples of the largest response for its fault
	parts   int         // groups that were made of it and are still on trial
	guilty  bool        // some of it was set aside, as far as is known
	most    int         // samples at once, 0: as many as anybody

	strikes int // how often it was refused alone
}

// unheard says whether neither the group nor one that it was part of was ever tried.
func (g *group[P]) unheard() bool { return !g.tested && g.pair == nil }

// refusal is a response of a group that was not stored.
type refusal struct {
	listed  []series.ID
	samples int
}

// pair are the halves of a group.
type pair[P any] struct {
	halves [2]*group[P]
	sure   bool // they were refused together
}

// other is the other half, nil if there is none.
func (g *group[P]) other() *group[P] {
	switch {
	case g.pair == nil:
		return nil
	case g.pair.halves[0] == g:
		return g.pair.halves[1]
	default:
		return g.pair.halves[0]
	}
}

// dimension is a way in which series belong together.
type dimension int

const (
	byGateway dimension = iota
	byFamily
	byNumber
	dimensions
)

// key is a gateway or a family.
type key struct {
	by     dimension
	number uint32
}

func (t *Trial[P]) keyOf(id series.ID, by dimension) key {
	switch {
	case by == byGateway:
		return key{by, t.cfg.Gateway(id)}
	case by == byFamily && t.cfg.Family != nil:
		return key{by, t.cfg.Family(id)}
	case by == byFamily:
		return key{by, 0}
	default:
		return key{by, uint32(id)}
	}
}

// alike returns what all the series have in common.
func (t *Trial[P]) alike(ids []series.ID) (keys []key) {
	for _, by := range []dimension{byGateway, byFamily} {
		if by == byFamily && t.cfg.Family == nil {
			continue
		}
		first := t.keyOf(ids[0], by)
		if !slices.ContainsFunc(ids, func(id series.ID) bool { return t.keyOf(id, by) != first }) {
			keys = append(keys, first)
		}
	}
	return keys
}

// halve returns some of two or more series, about half of them, so that those of one key
// stay together. It tries the ways from one on.
func (t *Trial[P]) halve(ids []series.ID, first dimension) (half []series.ID) {
	for i := range dimensions {
		if half = t.cut(ids, (first+i)%dimensions); len(half) > 0 {
			break
		}
	}
	return half
}

// cut returns the first of some series, up to where one key ends, as near to the middle
// as that is. Without a second key it returns nothing.
func (t *Trial[P]) cut(ids []series.ID, by dimension) []series.ID {
	type keyed struct {
		number uint32
		id     series.ID
	}
	all := make([]keyed, len(ids))
	for i, id := range ids {
		all[i] = keyed{t.keyOf(id, by).number, id}
	}
	slices.SortFunc(all, func(x, y keyed) int {
		return cmp.Or(cmp.Compare(x.number, y.number), cmp.Compare(x.id, y.id))
	})
	cut, middle := 0, len(all)/2
	for i := 1; i < len(all); i++ {
		if all[i].number != all[i-1].number && (cut == 0 || abs(i-middle) < abs(cut-middle)) {
			cut = i
		}
	}
	var half []series.ID
	for _, k := range all[:cut] {
		half = append(half, k.id)
	}
	return half
}

func abs(n int) int { return max(n, -n) }
