package roster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/members"
)

const (
	// firstRetryWait is the wait after the first lookup if it fails; until there
	// is a good answer it is doubled up to the interval.
	firstRetryWait = 500 * time.Millisecond
	// confirmWait is the wait for the answer that has to name a new hub, or another placement, again.
	confirmWait = time.Second
	// maxTroubleBytes is how much of an error is logged and shown.
	maxTroubleBytes = 1000
)

// Settings bound a watcher. All are needed.
type Settings struct {
	Interval time.Duration // between two answers, give or take a tenth
	Timeout  time.Duration // of one lookup
	Hold     time.Duration // for which a member that is not named is kept
	// Takes says whether a member has taken a push since a time. It is called by Run's goroutine.
	Takes  func(name string, since time.Time) bool
	Log    *slog.Logger
	Random func(n int64) int64 // from 0 to n-1
}

// Watcher asks who the hubs are at an interval and tells of changes. The rules are
// roster's; the watcher adds that an error, no hub or a set of which no ring can
// be built changes nothing: neither what members.Check finds nor what apply refuses.
type Watcher struct {
	ask func(ctx context.Context) ([]members.Hub, error)
	cfg Settings

	// Those are Run's own.
	roster  *roster
	retry   time.Duration // the next wait while there was no good answer
	trouble string        // what was logged last, "" when all is well
	kept    int           // hubs that were logged as kept last

	mu    sync.Mutex
	state Status
}

// Status is what a watcher knows, for metrics and a status page.
type Status struct {
	Members     []string  // the names that were applied last, sorted
	Held        []string  // those of them that the last good answer did not name, sorted
	Fresh       []string  // named once, members when they are named again, sorted
	Lookups     uint64    // that have ended
	Failures    uint64    // those of them that gave no good answer
	Changes     uint64    // calls of apply
	LastSuccess time.Time // of the last good answer; zero if there was none
	LastChange  time.Time // of the last call of apply; zero if there was none
	LastError   string    // why the last lookup failed; "" if it did not
}

// New returns a watcher of what ask answers: all hubs, in any order, or an error. It is
// asked by one goroutine at a time, and must return soon after ctx ends.
func New(ask func(ctx context.Context) ([]members.Hub, error), cfg Settings) *Watcher {
	return &Watcher{ask: ask, cfg: cfg, roster: newRoster(cfg.Hold, cfg.Takes), retry: min(firstRetryWait, cfg.Interval)}
}

// Run asks until ctx ends. It calls apply, always from its own goroutine, for
// the first good answer and for each change, with all members sorted by name;
// their defaults are filled in. The slice is apply's to keep. A change of which it
// returns an error has not come about: what the next answer says is compared with the
// members from before. It asks for the first time at once.
func (w *Watcher) Run(ctx context.Context, apply func(hubs []members.Hub) error) {
	for {
		wait := w.look(ctx, apply)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// Status may be called from any goroutine.
func (w *Watcher) Status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.Members, s.Held, s.Fresh = slices.Clone(s.Members), slices.Clone(s.Held), slices.Clone(s.Fresh)
	return s
}

// look asks once and returns how long to wait for the next time.
func (w *Watcher) look(ctx context.Context, apply func(hubs []members.Hub) error) time.Duration {
	hubs, err := w.answer(ctx)
	if ctx.Err() != nil { // whatever came back, it is because of that
		return 0
	}
	if err != nil {
		w.failed(err)
		return w.waitAfterFailure()
	}
	now := time.Now()
	before := w.roster.clone()
	change := w.roster.take(hubs, now)
	if !change.none() {
		if err := apply(w.roster.hubs()); err != nil {
			w.roster.takeBack(before)
			w.failed(fmt.Errorf("no ring can be built of them: %w", err))
			return w.waitAfterFailure()
		}
	}
	w.recovered()
	w.note(change, now)
	if kept := len(w.roster.kept); kept != w.kept {
		w.kept = kept
		if kept > 0 {
			w.cfg.Log.Warn("Fewer hubs are named than others still take pushes, which stay; stop those that are to leave",
				slog.Int("named", len(hubs)), slog.Int("kept", kept), slog.String("hubs", someOf(w.roster.kept)))
		}
	}
	if change.names() {
		w.cfg.Log.Info("Hubs have changed", slog.Int("hubs", len(w.roster.members)),
			slog.String("joined", someOf(change.joined)), slog.String("left", someOf(change.left)), slog.String("altered", someOf(change.altered)))
	}
	if change.placed {
		w.cfg.Log.Info("Hubs are to be placed otherwise", slog.String("placement", cmp.Or(w.roster.placement, "rendezvous")))
	}
	if w.roster.unsure() {
		return min(confirmWait, w.cfg.Interval)
	}
	return w.jitter(w.cfg.Interval)
}

// answer returns one that can be believed, or why there is none.
func (w *Watcher) answer(ctx context.Context) ([]members.Hub, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	hubs, err := w.ask(ctx)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer within %s: %w", w.cfg.Timeout, err)
		}
		return nil, err
	}
	return members.Check(hubs)
}

// failed counts a failure, and logs it unless it is the one of the last lookup.
func (w *Watcher) failed(err error) {
	text := err.Error()
	if len(text) > maxTroubleBytes {
		text = strings.ToValidUTF8(text[:maxTroubleBytes], "") + "…"
	}
	w.mu.Lock()
	w.state.Lookups++
	w.state.Failures++
	w.state.LastError = text
	members := len(w.state.Members)
	w.mu.Unlock()
	if trouble := withoutDigits(text); trouble != w.trouble {
		w.trouble = trouble
		w.cfg.Log.Warn("Hubs cannot be looked up, the present ones stay", slog.Int("hubs", members), slog.String("error", text))
	}
}

// recovered logs that a failure is over.
func (w *Watcher) recovered() {
	if w.trouble != "" {
		w.trouble = ""
		w.cfg.Log.Info("Hubs can be looked up again")
	}
}

// note brings the status up to date with the roster.
func (w *Watcher) note(change rosterChange, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := &w.state
	s.Lookups++
	s.LastSuccess, s.LastError = now, ""
	s.Held = slices.Sorted(maps.Keys(w.roster.missing))
	s.Fresh = slices.Sorted(maps.Keys(w.roster.fresh))
	if !change.none() {
		s.Changes++
		s.LastChange = now
		s.Members = slices.Sorted(maps.Keys(w.roster.members))
	}
}

// waitAfterFailure is short before the first good answer, since nothing can be
// sent until then.
func (w *Watcher) waitAfterFailure() time.Duration {
	if len(w.roster.members) > 0 {
		return w.jitter(w.cfg.Interval)
	}
	wait := w.retry
	w.retry = min(2*w.retry, w.cfg.Interval)
	return w.jitter(wait)
}

// jitter returns d, give or take up to a tenth at random, so that controllers
// which were started together do not go on asking together.
func (w *Watcher) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(w.cfg.Random(int64(d/5)+1))
}

// withoutDigits makes errors equal that differ in numbers only: that of a socket
// has a port of ours, another one each time.
func withoutDigits(text string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// someOf is for log lines: a fleet's first answer may have thousands of names.
func someOf(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
