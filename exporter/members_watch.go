package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
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
	// confirmWait is the wait for the answer that has to name a new hub again.
	confirmWait = time.Second
	// maxTroubleBytes is how much of an error is logged and shown.
	maxTroubleBytes = 1000
)

// watcherConfig bounds a watcher. All are needed.
type watcherConfig struct {
	Interval time.Duration // between two answers, give or take a tenth
	Timeout  time.Duration // of one lookup
	Hold     time.Duration // for which a member that is not named is kept
	Log      *slog.Logger
	random   func(n int64) int64 // may be nil
}

// watcher asks a Membership at an interval and tells of changes. The rules are
// roster's; the watcher adds that an error, no hub or a set of which no ring can
// be built changes nothing: neither what members.Check finds nor what apply refuses.
type watcher struct {
	source Membership
	cfg    watcherConfig

	// Those are run's own.
	roster  *roster
	retry   time.Duration // the next wait while there was no good answer
	trouble string        // what was logged last, "" when all is well

	mu    sync.Mutex
	state membersStatus
}

// membersStatus is what a watcher knows, for metrics and a status page.
type membersStatus struct {
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

func newWatcher(m Membership, cfg watcherConfig) *watcher {
	if cfg.random == nil {
		cfg.random = rand.Int64N
	}
	return &watcher{source: m, cfg: cfg, roster: newRoster(cfg.Hold), retry: min(firstRetryWait, cfg.Interval)}
}

// run asks until ctx ends. It calls apply, always from its own goroutine, for
// the first good answer and for each change, with all members sorted by name;
// their defaults are filled in. The slice is apply's to keep. A change of which it
// returns an error has not come about: what the next answer says is compared with the
// members from before. The first call of Hubs comes at once.
func (w *watcher) run(ctx context.Context, apply func(hubs []Hub) error) {
	for {
		wait := w.look(ctx, apply)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// status may be called from any goroutine.
func (w *watcher) status() membersStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.state
	s.Members, s.Held, s.Fresh = slices.Clone(s.Members), slices.Clone(s.Held), slices.Clone(s.Fresh)
	return s
}

// look asks once and returns how long to wait for the next time.
func (w *watcher) look(ctx context.Context, apply func(hubs []Hub) error) time.Duration {
	hubs, err := w.ask(ctx)
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
			w.roster = before
			w.failed(fmt.Errorf("no ring can be built of them: %w", err))
			return w.waitAfterFailure()
		}
	}
	w.recovered()
	w.note(change, now)
	if !change.none() {
		w.cfg.Log.Info("Hubs have changed", slog.Int("hubs", len(w.roster.members)),
			slog.String("joined", someOf(change.joined)), slog.String("left", someOf(change.left)), slog.String("altered", someOf(change.altered)))
	}
	if len(w.roster.fresh) > 0 {
		return min(confirmWait, w.cfg.Interval)
	}
	return w.jitter(w.cfg.Interval)
}

// ask returns an answer that can be believed, or why there is none.
func (w *watcher) ask(ctx context.Context) ([]Hub, error) {
	ctx, cancel := context.WithTimeout(ctx, w.cfg.Timeout)
	defer cancel()
	hubs, err := w.source.Hubs(ctx)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return nil, fmt.Errorf("no answer within %s: %w", w.cfg.Timeout, err)
		}
		return nil, err
	}
	return members.Check(hubs)
}

// failed counts a failure, and logs it unless it is the one of the last lookup.
func (w *watcher) failed(err error) {
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
func (w *watcher) recovered() {
	if w.trouble != "" {
		w.trouble = ""
		w.cfg.Log.Info("Hubs can be looked up again")
	}
}

// note brings the status up to date with the roster.
func (w *watcher) note(change rosterChange, now time.Time) {
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
func (w *watcher) waitAfterFailure() time.Duration {
	if len(w.roster.members) > 0 {
		return w.jitter(w.cfg.Interval)
	}
	wait := w.retry
	w.retry = min(2*w.retry, w.cfg.Interval)
	return w.jitter(wait)
}

// jitter returns d, give or take up to a tenth at random, so that controllers
// which were started together do not go on asking together.
func (w *watcher) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(w.cfg.random(int64(d/5)+1))
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
