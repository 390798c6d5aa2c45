package trial

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// maxGroups bounds how many groups are on trial at a time.
const maxGroups = 64

// Config says how a trial finds its way in the log, which it knows by places of a
// type P. All functions are called under the trial's lock.
type Config[P any] struct {
	Most    int                                    // samples of a response, at most
	MaxHeld int                                    // samples by which a group may stay behind main; 0: 1,000,000
	At      func(P) uint64                         // the position of a place
	Fork    func(P) P                              // another place at the same position, which keeps the log from there on
	Drop    func(P)                                // it is not needed any more
	Gateway func(series.ID) uint32                 // a number of its gateway; those of none are as one
	Family  func(series.ID) uint32                 // a number of its metric; nil: not known
	Named   func(id series.ID, prefix string) bool // whether the name of its metric begins so; nil: not known
}

// Trial decides what the responses of one cursor, or of one part of it, may hold. Its
// methods may be called concurrently.
type Trial[P any] struct {
	cfg    Config[P]
	states states

	mu      sync.Mutex // guards what follows
	main    P
	at      version
	size    size
	groups  []*group[P] // in the order in which they are tried
	wards   []*ward
	mains   bool      // the last turn was main's
	works   bool      // the last response of which anything is known was stored
	doubted *group[P] // whose refusal counts if the next response of somebody else is stored
	news    []Aside[P]
	back    []series.ID
	turn    *Turn[P] // the last one of main without news; the next may be the same
	admit   func(series.ID) Verdict
}

// New returns a trial whose responses begin at the place main.
func New[P any](main P, cfg Config[P]) *Trial[P] {
	cfg.Most = max(cfg.Most, 1)
	if cfg.MaxHeld <= 0 {
		cfg.MaxHeld = 1_000_000
	}
	t := &Trial[P]{cfg: cfg, main: main, size: newSize(cfg.Most)}
	t.admit = t.admitToMain
	return t
}

// admitToMain is what main's turns admit while there is trouble.
func (t *Trial[P]) admitToMain(id series.ID) Verdict {
	switch t.states.of(id) {
	case grouped:
		return Leave
	case aside:
		return Drop
	default:
		return Write
	}
}

// Next returns the next turn. What the outcomes of the earlier ones have led to is
// done here, since only now all places are where they belong.
func (t *Trial[P]) Next(now time.Time) *Turn[P] {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.settle(now)
	turn := t.mainTurn()
	if g := t.upNext(); g != nil && t.mains {
		turn = t.groupTurn(g)
	}
	t.mains = turn.group == nil
	if len(t.news) > 0 || len(t.back) > 0 {
		told := *turn
		told.Aside, told.Back = t.news, t.back
		t.news, t.back = nil, nil
		turn = &told
	}
	return turn
}

func (t *Trial[P]) mainTurn() *Turn[P] {
	if t.turn == nil || t.turn.at != t.at || t.turn.Most != t.size.now {
		t.turn = &Turn[P]{
			From: t.main, Until: math.MaxUint64, Most: t.size.now,
			states: &t.states, all: t.size.now == 1, at: t.at,
		}
		if len(t.groups) > 0 || len(t.wards) > 0 {
			t.turn.Admit = t.admit
		}
	}
	return t.turn
}

// upNext is the group that gets the next turn that is not main's.
func (t *Trial[P]) upNext() *group[P] {
	main := t.cfg.At(t.main)
	for _, g := range t.groups {
		if !g.parked && g != t.doubted && t.cfg.At(g.place) < main {
			return g
		}
	}
	return nil
}

func (t *Trial[P]) groupTurn(g *group[P]) *Turn[P] {
	turn := &Turn[P]{
		From: g.place, Until: t.cfg.At(t.main), Most: t.size.now,
		states: &t.states, all: true, group: g, at: version{g.version, t.at.names},
	}
	if g.most > 0 {
		turn.Most = min(turn.Most, g.most)
	}
	verdict := Write
	if g.lose {
		turn.Most, turn.lose, verdict = 1, true, Drop
	}
	mine := newSet(g.ids)
	turn.Admit = func(id series.ID) Verdict {
		if mine.has(id) {
			return verdict
		}
		return Leave
	}
	return turn
}

// Stored notes that the server has the response of a turn. If it returns true, the
// turn's place is to be moved to where the response was read to, before the next turn.
// It returns false where series went to other places since the turn began, which only
// happens when turns overlap: then the samples come again.
func (t *Trial[P]) Stored(turn *Turn[P], r Response, _ time.Time) (move bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard(turn, true)
	t.size.stored(r.Samples)
	if turn.group != nil {
		return t.storedGroup(turn, r)
	}
	if turn.at.names == t.at.names {
		for _, id := range r.Listed {
			if t.states.of(id) == fresh {
				t.states.set(id, proven)
			}
		}
	}
	return turn.at.shares == t.at.shares
}

func (t *Trial[P]) storedGroup(turn *Turn[P], r Response) (move bool) {
	g := turn.group
	if g.dead || turn.at.shares != g.version {
		return false
	}
	g.tested, g.clean, g.strikes = true, true, 0
	switch {
	case turn.lose:
		g.lose = false
		return true
	case r.Samples == 0:
		return true
	}
	g.passed, g.lost = true, 0
	if turn.at.names != t.at.names {
		return true
	}
	g.stored = union(g.stored, r.Listed)
	for _, id := range r.Listed {
		t.exonerated(g.trouble, id)
	}
	return true
}

// Refused notes that a response arrived and was not stored. The turn's place stays.
func (t *Trial[P]) Refused(turn *Turn[P], r Response, c Cause, _ time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	worked := t.works
	t.heard(turn, false)
	if r.Samples == 0 || turn.at.names != t.at.names {
		return // the receipt alone was refused: no series' fault
	}
	if c.Kind == Size && r.Samples > 1 {
		t.size.refused(r.Samples, true)
		return
	}
	if turn.group != nil {
		t.refusedGroup(turn, r, c, worked)
		return
	}
	t.refusedMain(r, c)
}

// heard notes an outcome.
func (t *Trial[P]) heard(turn *Turn[P], stored bool) {
	if d := t.doubted; d != nil && turn.group != d {
		if stored {
			d.hit = d.pending
		}
		d.pending, t.doubted = nil, nil
	}
	t.works = stored
}

// refusedGroup takes a refusal for the group's fault only if the server stored something
// right before and, as heard will tell, right after; or if it says so itself.
func (t *Trial[P]) refusedGroup(turn *Turn[P], r Response, c Cause, worked bool) {
	g := turn.group
	if g.dead || turn.at.shares != g.version {
		return
	}
	g.tested, g.clean, g.cause = true, false, c
	if !worked && c.Kind == Unknown {
		return
	}
	g.pending = &refusal{listed: slices.Clone(r.Listed), samples: r.Samples}
	t.doubted = g
}

// refusedMain finds out who or what to suspect.
func (t *Trial[P]) refusedMain(r Response, c Cause) {
	var suspects []series.ID
	for _, id := range r.Listed {
		if t.states.of(id) == fresh {
			suspects = append(suspects, id)
		}
	}
	if c.Metric != "" && t.cfg.Named != nil {
		named, known := t.named(c.Metric, suspects)
		if len(named) > 0 {
			t.suspect(named, c, known)
			return
		}
	}
	switch {
	case len(suspects) > 0:
		t.suspect(suspects, c, false)
	case c.Kind == Content:
		// Something that was stored before is not any more. What that is comes out when all are
		// tried anew.
		t.states.unprove()
	case r.Samples > 1:
		t.size.refused(r.Samples, false)
	default:
		known := slices.DeleteFunc(slices.Clone(r.Listed), func(id series.ID) bool { return t.states.of(id) != proven })
		t.states.unprove()
		t.size = newSize(t.cfg.Most)
		if len(known) > 0 {
			t.suspect(known, c, true)
		}
	}
}

// named returns the series that the server complained of: of the new ones in the
// response, or else of those that were stored before.
func (t *Trial[P]) named(metric string, suspects []series.ID) (named []series.ID, known bool) {
	for _, id := range suspects {
		if t.cfg.Named(id, metric) {
			named = append(named, id)
		}
	}
	if len(named) > 0 {
		return named, false
	}
	for id := range t.states.all(proven) {
		if t.cfg.Named(id, metric) {
			named = append(named, id)
		}
	}
	return named, true
}

// suspect makes a group of series that were main's.
func (t *Trial[P]) suspect(ids []series.ID, c Cause, known bool) {
	slices.Sort(ids)
	t.states.setAll(ids, grouped)
	t.at.shares++
	main := t.cfg.At(t.main)
	for _, g := range t.groups {
		if !g.tested && g.trouble.retry == nil && g.pair == nil && g.known == known && t.cfg.At(g.place) == main {
			g.ids, g.cause = union(g.ids, ids), c
			g.version++
			return
		}
	}
	t.groups = append(t.groups, &group[P]{
		place: t.cfg.Fork(t.main), ids: ids, trouble: newIncident(nil), known: known, cause: c,
	})
}

// Forget makes the trial forget all series that are not kept: their numbers may be
// given to others. Those beyond the end of keep are kept.
func (t *Trial[P]) Forget(keep []bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at.names++
	gone := func(id series.ID) bool { return int(id) < len(keep) && !keep[id] }
	for _, in := range []state{proven, grouped, aside} {
		for id := range t.states.all(in) {
			if gone(id) {
				t.states.set(id, fresh)
			}
		}
	}
	without := func(ids []series.ID) []series.ID { return slices.DeleteFunc(slices.Clone(ids), gone) }
	for _, g := range slices.Clone(t.groups) {
		g.ids, g.stored, g.seen = without(g.ids), without(g.stored), without(g.seen)
		for _, r := range []*refusal{g.pending, g.hit} {
			if r != nil {
				r.listed = without(r.listed)
			}
		}
		if len(g.ids) == 0 {
			t.remove(g)
			t.cfg.Drop(g.place)
		}
	}
	for _, w := range t.wards {
		w.ids = without(w.ids)
	}
	t.wards = slices.DeleteFunc(t.wards, func(w *ward) bool { return len(w.ids) == 0 })
	t.back = without(t.back)
}

// Close gives back all places but main.
func (t *Trial[P]) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range slices.Clone(t.groups) {
		t.remove(g)
		t.cfg.Drop(g.place)
	}
	for _, a := range t.news {
		t.cfg.Drop(a.From)
	}
	t.news = nil
}

// Proven says whether a series was stored before.
func (t *Trial[P]) Proven(id series.ID) bool { return t.states.of(id) == proven }

// Aside is how many series are set aside.
func (t *Trial[P]) Aside() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.wards {
		n += len(w.ids)
	}
	for _, g := range t.groups {
		if g.trouble.retry != nil {
			n += len(g.ids)
		}
	}
	return n
}

// Reason says why samples of a series are dropped, or "" if they are not.
func (t *Trial[P]) Reason(id series.ID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.wards {
		if _, ok := slices.BinarySearch(w.ids, id); ok {
			return w.reason
		}
	}
	for _, g := range t.groups {
		if _, ok := slices.BinarySearch(g.ids, id); ok && g.lose {
			return g.cause.word()
		}
	}
	return ""
}

// Groups is how many groups are on trial.
func (t *Trial[P]) Groups() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.groups)
}

// Most is how many samples are offered at once.
func (t *Trial[P]) Most() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.size.now
}

// Floor is the position of the place that is furthest behind.
func (t *Trial[P]) Floor() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	floor := t.cfg.At(t.main)
	for _, g := range t.groups {
		floor = min(floor, t.cfg.At(g.place))
	}
	return floor
}

// union is what is in one or both of two lists, ascending.
func union(a, b []series.ID) []series.ID {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
