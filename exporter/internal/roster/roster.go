package roster

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
)

// roster decides who is a member, answer by answer. Every move of a member moves
// gateways, so no single answer is believed, but the first:
//
//	not known ──first answer──────────────────► member ◄─named again─┐
//	    └─named─► fresh ──named again─► member     └──not named─► missing ──not named for hold─► gone
//	                └──not named─► not known
//
// What an answer says is weighed against what hubs do: an answer that names fewer hubs than there are
// beside them which still take pushes is a source's trouble rather than a rescale, and
// those stay. Hubs that are stopped leave as they should.
//
// What an answer says of a member's URL and weight holds at once: a wrong URL is
// no worse than a hub that is down, and waiting leaves a hub that moved without
// its gateways. Their placement is that of all members, also of those that an answer does
// not name, and moves most gateways: as a new hub it has to be named twice, and weights wait for it, so that gateways
// move once. A roster is used by one goroutine.
type roster struct {
	hold    time.Duration
	takes   func(name string, since time.Time) bool // whether a member has taken a push since
	members map[string]members.Hub                  // by name; empty before the first answer
	missing map[string]time.Time                    // members that the last answer did not name, and since when
	fresh   map[string]bool                         // named by the last answer for the first time
	kept    []string                                // of the missing, those that are due and stay, since they take pushes

	placement string  // of the members
	other     *string // that of the last answer, if it is another one
}

func newRoster(hold time.Duration, takes func(name string, since time.Time) bool) *roster {
	return &roster{hold: hold, takes: takes, members: map[string]members.Hub{}, missing: map[string]time.Time{}}
}

// clone returns the roster as it is now.
func (r *roster) clone() *roster {
	return &roster{
		hold: r.hold, takes: r.takes, kept: r.kept, placement: r.placement, other: r.other,
		members: maps.Clone(r.members), missing: maps.Clone(r.missing), fresh: maps.Clone(r.fresh),
	}
}

// takeBack makes the members those from before an answer. What that said is remembered: who has been missing for
// how long, and what need not be named twice any more.
func (r *roster) takeBack(before *roster) {
	for name := range r.members {
		if _, was := before.members[name]; !was {
			r.fresh[name] = true
		}
	}
	for name := range before.members {
		if _, is := r.members[name]; !is {
			r.missing[name] = before.missing[name]
		}
	}
	if placement := r.placement; placement != before.placement {
		r.other = &placement
	}
	r.members, r.placement, r.kept = before.members, before.placement, before.kept
}

// rosterChange names the members that an answer changed, sorted.
type rosterChange struct {
	joined, left, altered []string
	placed                bool // they have another placement
}

func (c rosterChange) names() bool { return len(c.joined) > 0 || len(c.left) > 0 || len(c.altered) > 0 }

func (c rosterChange) none() bool { return !c.names() && !c.placed }

// take looks at an answer, which members.Check returned.
func (r *roster) take(answer []members.Hub, now time.Time) rosterChange {
	var change rosterChange
	first := len(r.members) == 0
	change.placed = r.place(answer[0].Placement, first)
	fresh := map[string]bool{}
	var joining []members.Hub
	for _, h := range answer {
		known, ok := r.members[h.Name]
		h.Placement = r.placement
		if ok && r.other != nil {
			h.Weight = known.Weight
		}
		switch {
		case first, !ok && r.fresh[h.Name]:
			joining = append(joining, h)
		case !ok:
			fresh[h.Name] = true
		case known != h:
			r.members[h.Name] = h
			change.altered = append(change.altered, h.Name)
		}
	}
	change.left = r.drop(answer, len(joining) > 0, now)
	for _, h := range joining {
		if len(r.members) == hashring.MaxNodes { // with those that are missing
			fresh[h.Name] = true
			continue
		}
		r.members[h.Name] = h
		change.joined = append(change.joined, h.Name)
	}
	r.fresh = fresh
	return change
}

// place looks at the placement of an answer, and reports whether it is another one for members that there are.
func (r *roster) place(placement string, first bool) bool {
	switch {
	case !first && placement == r.placement:
		r.other = nil
		return false
	case !first && (r.other == nil || *r.other != placement):
		r.other = &placement
		return false
	}
	r.placement, r.other = placement, nil
	for name, h := range r.members {
		h.Placement = placement
		r.members[name] = h
	}
	return !first
}

// unsure reports whether the next answer has to confirm the last one.
func (r *roster) unsure() bool { return len(r.fresh) > 0 || r.other != nil }

// drop removes the members that have been missing for so long, and returns their
// names. Unless others join, one that is missing is better than nobody.
func (r *roster) drop(answer []members.Hub, othersJoin bool, now time.Time) []string {
	named := make(map[string]bool, len(answer))
	for _, h := range answer {
		named[h.Name] = true
	}
	var due []string
	for name := range r.members {
		since, missed := r.missing[name]
		switch {
		case named[name]:
			delete(r.missing, name)
		case !missed:
			r.missing[name] = now
		case now.Sub(since) >= r.hold:
			due = append(due, name)
		}
	}
	r.kept = nil
	if len(due) == len(r.members) && !othersJoin {
		return nil
	}
	taking := slices.DeleteFunc(slices.Clone(due), func(name string) bool { return !r.takes(name, now.Add(-r.hold)) })
	if len(answer) < len(taking) {
		due = slices.DeleteFunc(due, func(name string) bool { return slices.Contains(taking, name) })
		slices.Sort(taking)
		r.kept = taking
	}
	for _, name := range due {
		delete(r.members, name)
		delete(r.missing, name)
	}
	slices.Sort(due)
	return due
}

// hubs returns the members, sorted by name.
func (r *roster) hubs() []members.Hub {
	return slices.SortedFunc(maps.Values(r.members), func(a, b members.Hub) int { return strings.Compare(a.Name, b.Name) })
}
