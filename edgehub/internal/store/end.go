package store

import (
	"errors"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// End is that the samples of a gateway go to another hub.
type End struct {
	Gateway string // empty for what is of no gateway
	First   int64  // time of its first sample there, in milliseconds since the epoch
	Handed  bool   // another hub says when it had ended there, and has handed over samples of before
}

// Ended is what ends did.
type Ended struct {
	samples.Made
	Gateways []string // that were here, and are no more
	Markers  int      // that were written
}

// End ends gateways that are here, one after the other; those that are not are no error. Its error is a
// *FullError where there is no room for the markers of one; those before it are ended.
func (s *Store) End(ends []End, now time.Time) (Ended, error) {
	if err := s.Refuses(); err != nil {
		return Ended{}, err
	}
	names := make([]string, len(ends))
	for i := range ends {
		names[i] = ends[i].Gateway
	}
	return s.end(now, func(t *series.Table) ([]uint32, ender) {
		numbers := t.Numbers(names)
		firsts, handed := map[uint32][]int64{}, map[uint32]bool{}
		var here []uint32
		for i, came := range s.Log.Here(numbers) {
			if g := numbers[i]; came != 0 && ends[i].First >= came {
				firsts[g], handed[g] = append(firsts[g], ends[i].First), ends[i].Handed
				here = append(here, g)
			}
		}
		return here, func(gateway uint32, ids []series.ID) (samples.Ended, error) {
			if handed[gateway] {
				return s.Log.EndHanded(gateway, ids, slices.Min(firsts[gateway]), now)
			}
			return s.Log.EndMoved(gateway, ids, slices.Min(firsts[gateway]), now)
		}
	})
}

// EndSilent ends the gateways that fell silent, at most once in lookEvery, likewise. It
// does nothing for a store that is to end none.
func (s *Store) EndSilent(now time.Time) (Ended, error) {
	if s.Refuses() != nil { // then nobody is silent, or it cannot be written down
		return Ended{}, nil
	}
	if s.endsAfter <= 0 || !s.due(&s.lastLook, lookEvery, now) {
		return Ended{}, nil
	}
	return s.end(now, func(*series.Table) ([]uint32, ender) {
		return s.Log.Silent(s.endsAfter, now), func(gateway uint32, ids []series.ID) (samples.Ended, error) {
			return s.Log.EndSilent(gateway, ids, s.endsAfter, now)
		}
	})
}

const lookEvery = 5 * time.Second

// ender ends a gateway with its series.
type ender func(gateway uint32, ids []series.ID) (samples.Ended, error)

// end ends those gateways of the table that choose says, on disk as well.
func (s *Store) end(now time.Time, choose func(*series.Table) ([]uint32, ender)) (all Ended, err error) {
	s.disk.between(func() {
		var markers []stretch
		all, markers, err = s.endNow(choose)
		if s.disk != nil && len(markers) > 0 {
			if failed := s.disk.add(markers, now); failed != nil {
				err = failed
			}
		}
	})
	return all, err
}

// endNow does that without the disk, for which it returns what was written.
func (s *Store) endNow(choose func(*series.Table) ([]uint32, ender)) (all Ended, markers []stretch, err error) {
	var numbers []uint32
	for {
		t := s.Table()
		chosen, end := choose(t)
		if len(chosen) == 0 {
			return all, markers, nil
		}
		err = t.EachOf(chosen, func(gateway uint32, ids []series.ID) error {
			e, err := end(gateway, ids)
			all.LetGo += e.LetGo
			all.Left = append(all.Left, e.Left...)
			all.Markers += e.Markers.Len()
			m := stretch{
				Stretch: samples.Stretch{Columns: e.Markers, Runs: []samples.Run{{Gateway: gateway, Samples: e.Markers.Len()}}},
				kind:    journal.Ends, table: t,
			}
			if !e.Was { // it is here still
				m.kind = journal.Samples
			}
			if e.Was || e.Markers.Len() > 0 {
				numbers, markers = append(numbers, gateway), append(markers, m)
			}
			return err
		})
		if !errors.Is(err, series.ErrReplaced) {
			for i := range markers {
				if m := &markers[i]; m.kind == journal.Ends {
					m.gateway = t.GatewayName(numbers[i])
					all.Gateways = append(all.Gateways, m.gateway)
				}
			}
			return all, markers, full(t, err)
		}
	}
}
