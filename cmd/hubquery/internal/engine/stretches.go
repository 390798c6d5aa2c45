package engine

import (
	"cmp"
	"slices"

	"github.com/hubring/hubring/cmd/hubquery/internal/moves"
	"github.com/hubring/hubring/cmd/hubquery/internal/split"
)

// mostStretches bounds into how many pieces a query is cut, each being some requests to each shard.
const mostStretches = 16

// stretch is some steps in a row of a query, and the gateways whose moves they see.
type stretch struct {
	times   split.Times
	movers  []string
	archive bool
}

type sight struct {
	gateway  string
	from, to int64 // of steps, ms
}

// stretches cuts a query's steps by the moves that they see.
func stretches(times split.Times, reach split.Reach, known *moves.Known) []stretch {
	var all []sight
	for gateway, begins := range known.Moved {
		for _, b := range begins {
			from, to := b.Seen(reach.Back, reach.Ahead)
			if reach.Fixed { // each step may look anywhere
				from, to = times.Start, times.End
			}
			if from = max(from, times.Start); from <= min(to, times.End) {
				all = append(all, sight{gateway, from, min(to, times.End)})
			}
		}
	}
	if len(all) == 0 {
		return []stretch{{times: times}}
	}
	slices.SortFunc(all, func(a, b sight) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to)) })
	var groups [][]sight
	ends := int64(0)
	for _, s := range all {
		if len(groups) == 0 || s.from > ends {
			groups = append(groups, nil)
			ends = s.to
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
		ends = max(ends, s.to)
	}
	return cut(times, closest(groups))
}

// closest joins groups that lie next to each other until there are few enough.
func closest(groups [][]sight) [][]sight {
	for len(groups) > mostStretches/2 {
		at, least := 0, int64(0)
		for i := 1; i < len(groups); i++ {
			if gap := groups[i][0].from - last(groups[i-1]); at == 0 || gap < least {
				at, least = i, gap
			}
		}
		groups[at-1] = append(groups[at-1], groups[at]...)
		groups = slices.Delete(groups, at, at+1)
	}
	return groups
}

func last(group []sight) int64 {
	to := group[0].to
	for _, s := range group {
		to = max(to, s.to)
	}
	return to
}

// cut makes stretches of the groups and of the steps between them.
func cut(times split.Times, groups [][]sight) (out []stretch) {
	next := times.Start // the first step that is in no stretch yet
	add := func(to int64, movers []string) {
		if next > to {
			return
		}
		s := stretch{times: split.Times{Start: next, End: to, Step: times.Step}, movers: movers}
		if times.Step > 0 {
			s.times.End = next + (to-next)/times.Step*times.Step
		}
		out = append(out, s)
		next = s.times.End + max(times.Step, 1)
	}
	for _, group := range groups {
		var movers []string
		for _, s := range group {
			movers = append(movers, s.gateway)
		}
		slices.Sort(movers)
		add(group[0].from-1, nil)
		add(min(last(group), times.End), slices.Compact(movers))
	}
	add(times.End, nil)
	return out
}
