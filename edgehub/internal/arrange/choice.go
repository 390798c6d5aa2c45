package arrange

import (
	"math"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// Choice says which samples of a view are to be written.
type Choice struct {
	Part, Parts    int   // of the series; Part counts from 0
	Most           int   // samples
	Oldest, Newest int64 // in milliseconds since the epoch
	// One says that a series may come once only, and a histogram or summary with one
	// time: the view ends where the second one would come.
	One bool
	// Admit says what becomes of a series; nil writes each.
	Admit func(series.ID) Verdict
}

// Verdict is what becomes of a series' samples.
type Verdict uint8

// The verdicts.
const (
	Write Verdict = iota
	Leave         // for another response
	Drop          // for good; the cursor passes them
)

// Everything is the choice that leaves nothing out.
var Everything = Choice{Parts: 1, Most: math.MaxInt, Oldest: math.MinInt64, Newest: math.MaxInt64}

// mark marks the series that are not to be written.
func (c *Choice) mark(rank *series.Ranking, place []uint32) {
	if c.Parts > 1 {
		for _, id := range rank.Order {
			if PartOf(rank.Group(id), c.Parts) != c.Part {
				place[id] = elsewhere
			}
		}
	}
	if c.Admit == nil {
		return
	}
	for _, id := range rank.Order {
		if place[id] == elsewhere {
			continue
		}
		switch c.Admit(id) {
		case Leave:
			place[id] = elsewhere
		case Drop:
			place[id] = setAside
		case Write:
		}
	}
}

// PartOf maps a series' group onto the parts, without a division.
func PartOf(group uint32, parts int) int { return int(uint64(group) * uint64(parts) >> 32) }

// onlyOne ends the view for receivers that keep one sample of a series in a response:
// before the series that would come a second time, and before a sample of a histogram
// or summary of which another time is there already. It does not end between
// the series of one histogram, as far as its sender wrote them together.
func (a *Arrangement) onlyOne(place []uint32) {
	type begun struct {
		time int64
		at   uint64
	}
	compound, seen, groups := a.compound(), make([]bool, len(place)), map[uint32]begun{}
	position, counted, following, before := a.view.From, 0, 0, previous{}
	for s := range a.view.Keys() {
		for i, id := range s.IDs {
			if following++; following > words.Most || !before.goesOn(s, i) {
				following = 0
			}
			if place[id] < setAside && following == 0 {
				group := a.Rank.Group(id)
				first, has := groups[group]
				goesOn := has && first.time == s.Times[i]
				if counted == a.choice.Most || seen[id] || has && !goesOn {
					if goesOn && first.at > a.view.From {
						position = first.at
					}
					a.end(position)
					return
				}
				if compound[id] && !has {
					groups[group] = begun{s.Times[i], position}
				}
				seen[id] = true
				counted++
			}
			position++
		}
		before.end(s)
	}
}

// compound says which series are of a histogram or summary, by number.
func (a *Arrangement) compound() []bool {
	is := make([]bool, a.Rank.Numbers())
	for _, f := range a.Rank.Families {
		for _, id := range a.Rank.Order[f.From:f.To] {
			is[id] = f.Compound
		}
	}
	return is
}
