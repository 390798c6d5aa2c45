package trial

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
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
	Named   func(id series.ID, metric string) bool // whether a server that names this metric may mean it; nil: not known
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
	onWay   bool      // the next that is not main's is for a group that was stored so far
	works   bool      // the last response of which anything is known was stored
	doubted *group[P] // whose refusal counts if the next response of somebody else is stored
	paid    int       // responses of main that were stored since something was tried again
	owed    int       // so many have to be before something else is
	news    []Aside[P]
	back    []series.ID
	turn    *Turn[P] // the last one of main without news; the next may be the same
}

// New returns a trial whose responses begin at the place main.
func New[P any](main P, cfg Config[P]) *Trial[P] {
	cfg.Most = max(cfg.Most, 1)
	if cfg.MaxHeld <= 0 {
		cfg.MaxHeld = 1_000_000
	}
	return &Trial[P]{cfg: cfg, main: main, size: newSize(cfg.Most)}
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
	if t.turn != nil && t.turn.at == t.at && t.turn.Most == t.size.now {
		return t.turn
	}
	t.turn = &Turn[P]{
		From: t.main, Until: math.MaxUint64, Most: t.size.now,
		states: &t.states, all: t.size.now == 1, at: t.at,
	}
	if len(t.groups) > 0 || len(t.wards) > 0 {
		t.turn.Admit = t.admit()
	}
	return t.turn
}

// admit is what main's turns admit while there is trouble.
func (t *Trial[P]) admit() func(series.ID) Verdict {
	type mark struct {
		ids  set
		left *atomic.Bool
	}
	marks := make([]mark, len(t.groups))
	for i, g := range t.groups {
		marks[i] = mark{newSet(g.ids), g.left}
	}
	return func(id series.ID) Verdict {
		switch t.states.of(id) {
		case grouped:
			for i := range marks {
				if marks[i].ids.has(id) {
					marks[i].left.Store(true)
				}
			}
			return Leave
		case aside:
			return Drop
		default:
			return Write
		}
	}
}

// upNext is the group that gets the next turn that is not main's: first one that was
// never tried, since perhaps nothing is wrong with it. Of the others, those that are on their
// way to main, since all was stored so far, and those that are searched have it by turns.
func (t *Trial[P]) upNext() *group[P] {
	main := t.cfg.At(t.main)
	var next *group[P]
	for _, g := range t.groups {
		if g == t.doubted || !g.left.Load() || t.cfg.At(g.place) >= main {
			continue
		}
		if g.unheard() {
			return g
		}
		if next == nil || next.clean != t.onWay && g.clean == t.onWay {
			next = g
		}
	}
	return next
}

func (t *Trial[P]) groupTurn(g *group[P]) *Turn[P] {
	t.onWay = !g.clean
	turn := &Turn[P]{
		From: g.place, Until: t.cfg.At(t.main), Most: t.size.now,
		states: &t.states, all: true, group: g, at: version{g.version, t.at.names},
	}
	if g.most > 0 {
		turn.Most = min(turn.Most, g.most)
	}
	mine := newSet(g.ids)
	turn.Admit = func(id series.ID) Verdict {
		if mine.has(id) {
			return Write
		}
		return Leave
	}
	return turn
}

// proven says whether a series was stored before.
func (t *Trial[P]) proven(id series.ID) bool { return t.states.of(id) == proven }

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

// Reason says why a series is set aside, or "" if it is not.
func (t *Trial[P]) Reason(id series.ID) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.wards {
		if _, ok := slices.BinarySearch(w.ids, id); ok {
			return w.reason
		}
	}
	return ""
}

// union is what is in one or both of two lists, ascending.
func union(a, b []series.ID) []series.ID {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
