package trial

import (
	"slices"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// group is a set of series on trial. It has a place of its own in the log: between
// there and main's place nobody else writes its samples.
type group[P any] struct {
	place   P
	ids     []series.ID // ascending
	trouble *incident
	known   bool // its series were stored before the trouble began
	version uint64
	dead    bool

	// What its responses said.
	tested  bool
	clean   bool        // the last one was stored
	passed  bool        // one with samples was stored
	stored  []series.ID // those in stored responses
	cause   Cause       // why the last one was not
	pending *refusal    // it counts if the next response of somebody else is stored
	hit     *refusal    // it counts

	// Where it came from.
	pair   *pair[P]
	seen   []series.ID // which of them were in the response for which the pair was made
	parked bool        // refused, it waits for what becomes of the other half

	// Alone.
	strikes int
	most    int  // samples at once, 0: as many as anybody
	lose    bool // its first sample is to be given up
	lost    int  // samples that were given up in a row
}

// refusal is a response of a group that was not stored.
type refusal struct {
	listed  []series.ID
	samples int
}

// pair are the halves of a group.
type pair[P any] struct {
	by      dimension
	halves  [2]*group[P]
	refused int // how many of them were
}

// other is the other half.
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

// halve divides two or more series in two, so that those of one key stay together. It
// tries the ways from one on, and returns the one that it took.
func (t *Trial[P]) halve(ids []series.ID, first dimension) (a, b []series.ID, by dimension) {
	for i := range dimensions {
		by = (first + i) % dimensions
		if a, b = t.cut(ids, by); len(a) > 0 {
			break
		}
	}
	return a, b, by
}

// cut divides series where one key ends, as near to the middle as that is. Without
// a second key it returns nothing.
func (t *Trial[P]) cut(ids []series.ID, by dimension) (a, b []series.ID) {
	type keyed struct {
		number uint32
		id     series.ID
	}
	all := make([]keyed, len(ids))
	for i, id := range ids {
		all[i] = keyed{t.keyOf(id, by).number, id}
	}
	slices.SortFunc(all, func(x, y keyed) int {
		if x.number != y.number {
			if x.number < y.number {
				return -1
			}
			return 1
		}
		return int(x.id) - int(y.id)
	})
	cut, middle := 0, len(all)/2
	for i := 1; i < len(all); i++ {
		if all[i].number != all[i-1].number && (cut == 0 || abs(i-middle) < abs(cut-middle)) {
			cut = i
		}
	}
	if cut == 0 {
		return nil, nil
	}
	for i, k := range all {
		if i < cut {
			a = append(a, k.id)
		} else {
			b = append(b, k.id)
		}
	}
	return a, b
}

func abs(n int) int { return max(n, -n) }
