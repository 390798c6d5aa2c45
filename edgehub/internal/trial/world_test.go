package trial

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// interval is the time between two scrapes in a world.
const interval = 15 * time.Second

// place is a place in a world's log.
type place struct {
	at   uint64
	gone bool
}

// world is a log, a server that stores each response whole or not at all, and
// what is between them.
type world struct {
	t        require.TestingT
	families int // of each gateway; a gateway's series have numbers in a row

	log    []series.ID
	main   *place
	places map[*place]bool
	trial  *Trial[*place]
	now    time.Time

	bad   map[series.ID]string // what the server refuses, and the word for it
	limit int                  // samples that it takes at most, with the receipt; 0: as many as come
	down  bool                 // it stores nothing
	tells bool                 // it says why
	names bool                 // it says which metric

	stored  []int // by position, how often
	given   []int // by position, how often it was given up
	asides  int   // series that were set aside, ever
	reasons []string
	back    []series.ID // stored again, ever
	scrapes int
	failed  int // scrapes that were refused
	checked int // up to there requireOnce checked
}

func newWorld(t require.TestingT, families int, change ...func(*Config[*place])) *world {
	w := &world{
		t: t, families: families, main: new(place), now: time.Unix(1_800_000_000, 0),
		places: make(map[*place]bool), bad: make(map[series.ID]string),
	}
	cfg := Config[*place]{
		Most:    1000,
		MaxHeld: math.MaxInt32,
		At: func(p *place) uint64 {
			require.False(t, p.gone, "a place is used after it was given back")
			return p.at
		},
		Fork: func(p *place) *place {
			fork := &place{at: p.at}
			w.places[fork] = true
			return fork
		},
		Drop:    w.drop,
		Gateway: func(id series.ID) uint32 { return uint32(int(id) / families) },
		Family:  func(id series.ID) uint32 { return uint32(int(id) % families) },
	}
	for _, c := range change {
		c(&cfg)
	}
	w.trial = New(w.main, cfg)
	return w
}

func (w *world) drop(p *place) {
	require.True(w.t, w.places[p], "a place is given back twice")
	delete(w.places, p)
	p.gone = true
}

// metric is the name of a series' metric.
func (w *world) metric(id series.ID) string {
	return "metric_" + strings.Repeat("i", int(id)%w.families) + "_end"
}

func named(w **world) func(*Config[*place]) {
	return func(c *Config[*place]) {
		c.Named = func(id series.ID, prefix string) bool { return strings.HasPrefix((*w).metric(id), prefix) }
	}
}

func (w *world) push(ids ...series.ID) {
	w.log = append(w.log, ids...)
	w.stored = append(w.stored, make([]int, len(ids))...)
	w.given = append(w.given, make([]int, len(ids))...)
}

// pushAll pushes a sample of each series of the first gateways.
func (w *world) pushAll(gateways int) {
	for id := range gateways * w.families {
		w.push(series.ID(id))
	}
}

// reading is what one turn led to.
type reading struct {
	Response
	turn     *Turn[*place]
	to       uint64
	written  []uint64
	dropped  []uint64
	refused  Cause
	accepted bool
}

// read reads a turn as the room above does.
func (w *world) read(turn *Turn[*place]) reading {
	r := reading{turn: turn, to: turn.From.at}
	listed := make(map[series.ID]bool)
	end := min(turn.Until, uint64(len(w.log)))
	for ; r.to < end; r.to++ {
		id := w.log[r.to]
		verdict := Write
		if turn.Admit != nil {
			verdict = turn.Admit(id)
		}
		if verdict == Leave {
			continue
		}
		if verdict == Drop {
			require.NotEmpty(w.t, w.trial.Reason(id))
			r.dropped = append(r.dropped, r.to)
			continue
		}
		if len(r.written) == turn.Most {
			break
		}
		r.written = append(r.written, r.to)
		if turn.Lists(id) && !listed[id] {
			listed[id] = true
			r.Listed = append(r.Listed, id)
		}
	}
	r.Samples = len(r.written)
	return r
}

// judge is what the server makes of a response.
func (w *world) judge(r *reading) {
	metric := ""
	for _, at := range r.written {
		if reason, bad := w.bad[w.log[at]]; bad && !w.down {
			r.refused = Cause{Kind: Content, Reason: reason}
			metric = w.metric(w.log[at])
			break
		}
	}
	switch {
	case w.down:
	case w.limit > 0 && r.Samples+1 > w.limit:
		r.refused = Cause{Kind: Size, Reason: "sample_limit"}
	case r.refused.Reason == "":
		r.accepted = true
	case w.names:
		r.refused.Metric = metric
	}
	if !w.tells {
		r.refused = Cause{}
	}
}

// tell tells the trial what became of a response.
func (w *world) tell(r reading) {
	if !r.accepted {
		w.failed++
		w.trial.Refused(r.turn, r.Response, r.refused, w.now)
		return
	}
	for _, at := range r.written {
		w.stored[at]++
	}
	if w.trial.Stored(r.turn, r.Response, w.now) {
		for _, at := range r.dropped {
			w.given[at]++
		}
		r.turn.From.at = max(r.turn.From.at, r.to)
	}
}

// next takes a turn and counts what was set aside.
func (w *world) next() *Turn[*place] {
	turn := w.trial.Next(w.now)
	for _, a := range turn.Aside {
		require.NotEmpty(w.t, a.IDs)
		w.asides += len(a.IDs)
		w.reasons = append(w.reasons, a.Reason)
		for at := a.From.at; at < a.Until; at++ {
			if slices.Contains(a.IDs, w.log[at]) {
				w.given[at]++
			}
		}
		w.drop(a.From)
	}
	w.back = append(w.back, turn.Back...)
	slices.Sort(w.back)
	return turn
}

// scrape is one scrape and its outcome. It returns what was written.
func (w *world) scrape() reading {
	w.now = w.now.Add(interval)
	w.scrapes++
	r := w.read(w.next())
	w.judge(&r)
	w.tell(r)
	return r
}

// aside returns the series that are set aside, or are tried again.
func (w *world) aside() []series.ID {
	var ids []series.ID
	for _, ward := range w.trial.wards {
		ids = append(ids, ward.ids...)
	}
	for _, g := range w.trial.groups {
		if g.trouble.retry != nil {
			ids = append(ids, g.ids...)
		}
	}
	slices.Sort(ids)
	require.Len(w.t, ids, w.trial.Aside())
	return ids
}

// floor is the position of the place that is furthest behind.
func (w *world) floor() int {
	floor := w.main.at
	for p := range w.places {
		floor = min(floor, p.at)
	}
	return int(floor)
}

// badOnes are the series that the server refuses.
func (w *world) badOnes() []series.ID { return slices.Sorted(maps.Keys(w.bad)) }

// busy says whether a group has something to be tried with.
func (w *world) busy() bool { return w.trial.upNext() != nil || w.trial.doubted != nil }

// requireOnce checks that nothing is lost or stored twice: what lies behind main was
// stored or given up once, except what groups still have to write.
func (w *world) requireOnce() {
	var waits []series.ID
	for _, g := range w.trial.groups {
		waits = append(waits, g.ids...)
	}
	for at := w.checked; at < len(w.log); at++ {
		id := w.log[at]
		times := w.stored[at] + w.given[at]
		if times <= 1 && (times == 1 || at >= int(w.main.at)) {
			continue
		}
		require.LessOrEqual(w.t, times, 1, "series %d at %d: stored %d times, given up %d times", id, at, w.stored[at], w.given[at])
		if !slices.Contains(waits, id) {
			require.Fail(w.t, "lost", "series %d at %d of %d", id, at, len(w.log))
		}
	}
	w.checked = w.floor() // what lies before has no reader any more
	require.Len(w.t, w.places, len(w.trial.groups)+len(w.trial.news), "places")
}

// given up of series that the server would take.
func (w *world) lostGood(wasBad map[series.ID]string) (n int) {
	for at, id := range w.log {
		if _, bad := wasBad[id]; !bad {
			n += w.given[at]
		}
	}
	return n
}

// String shows what is going on, for whoever reads a failed test.
func (w *world) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "scrapes %d main %d of %d, size %+v works %v bad %v\n", w.scrapes, w.main.at, len(w.log), w.trial.size, w.trial.works, w.badOnes())
	for _, g := range w.trial.groups {
		fmt.Fprintf(&b, "  at %d: %v left=%v tested=%v clean=%v passed=%v most=%d strikes=%d retry=%v doubted=%v\n",
			g.place.at, g.ids, g.left.Load(), g.tested, g.clean, g.passed, g.most, g.strikes, g.trouble.retry != nil, g == w.trial.doubted)
	}
	for _, a := range w.trial.wards {
		fmt.Fprintf(&b, "  aside %v until %s, tries %d\n", a.ids, a.again.Sub(w.now), a.tries)
	}
	return b.String()
}
