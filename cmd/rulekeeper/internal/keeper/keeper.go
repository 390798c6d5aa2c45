// Package keeper has a ruler load rules that were checked before, and no others.
//
// One round reads the sources and checks them. If all of them are good and differ
// from what is published, they are published and the ruler is told; if it refuses
// them, the set before takes their place again. If one is bad, nothing changes.
package keeper

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/check"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/source"
)

const (
	// again is when a set that a ruler refused is tried once more: it may have been the
	// ruler's disk, or another version of it runs by now.
	again = 10 * time.Minute
	// startTime is how long a ruler may take to come up with rules that none has
	// loaded before it is given the ones before: wrong rules make it exit.
	startTime = 5 * time.Minute
	// firstWait is before the second question to a ruler that is not up.
	firstWait = 500 * time.Millisecond
)

// Ruler is what loads the rules.
type Ruler interface {
	// Reload returns when they are loaded, ruler.ErrNotUp or a *ruler.RefusedError.
	Reload(ctx context.Context) error
	// Up says whether it answers.
	Up(ctx context.Context) bool
}

// Config is what a Keeper works with; all of it is needed.
type Config struct {
	Sources    *source.Files
	Checker    *check.Checker
	Store      *publish.Store
	Ruler      Ruler
	Interval   time.Duration // between two rounds
	Registerer prometheus.Registerer
	Logger     *slog.Logger
}

// Keeper keeps a ruler's rules. Run or Once may be called, and one goroutine may be
// in them; the handlers may be used at any time.
type Keeper struct {
	Config
	status  status
	metrics *metrics

	checked     map[string]checked // files as they were in the round before, by path
	loaded      string             // key of the set that the ruler has loaded since this process runs
	refusedAt   time.Time          // when the ruler refused a set, or New was called
	unconfirmed time.Time          // since when a ruler has not answered after a publication
	hold        bool               // publish nothing until the ruler answers
}

// New returns a Keeper, which does nothing yet.
func New(config Config) *Keeper {
	// A set that was refused before this process began is tried again, but not at once.
	return &Keeper{Config: config, metrics: newMetrics(config.Registerer), refusedAt: time.Now()}
}

// Run keeps the rules until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	waits := &backoff.ExponentialBackOff{InitialInterval: min(firstWait, k.Interval), RandomizationFactor: 0.2, Multiplier: 2, MaxInterval: k.Interval}
	waits.Reset()
	for ctx.Err() == nil {
		wait := k.Interval
		if k.round(ctx) {
			waits.Reset()
		} else {
			wait = min(waits.NextBackOff(), k.Interval)
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// Once publishes and tells no ruler. It fails only if it cannot write.
func (k *Keeper) Once(ctx context.Context) error {
	wanted := k.gather(ctx)
	problems, err := k.publish(wanted)
	k.settle(wanted, problems)
	return err
}

// round returns whether there is nothing to wait for: false while a ruler is not up.
func (k *Keeper) round(ctx context.Context) bool {
	if k.hold {
		k.hold = !k.Ruler.Up(ctx)
	}
	wanted := k.gather(ctx)
	problems := wanted.problems
	if k.hold {
		problems = append(problems, problem.Problem{Reason: problem.Waiting, Text: "the ruler did not start with the newest rules; it was given the set before and is not up"})
	} else {
		problems, _ = k.publish(wanted)
	}
	waiting, trouble := k.load(ctx, wanted)
	if ctx.Err() != nil {
		return true // what was cut off is no problem of the rules
	}
	k.settle(wanted, append(problems, trouble...))
	return !waiting && !k.hold
}

// publish puts the wanted set in place, if it is to be there, and returns what is
// wrong with it. The error is that it could not write.
func (k *Keeper) publish(wanted wanted) ([]problem.Problem, error) {
	problems := wanted.problems
	now, err := k.Store.Current()
	none := err != nil
	if none && !errors.Is(err, publish.ErrNone) {
		k.Logger.Error("the published rules cannot be read and are published anew", "error", err)
	}
	switch {
	case len(problems) > 0 && (!none || len(wanted.set) == 0):
		return problems, nil // a bad file changes nothing
	case !none && now.Key() == wanted.set.Key():
		return problems, nil
	}
	if key, why := k.Store.Refused(); key == wanted.set.Key() && !none && time.Since(k.refusedAt) < again {
		return append(problems, problem.Problem{Reason: problem.Ruler, Text: why}), nil
	}
	if err := k.Store.Publish(wanted.set); err != nil {
		return append(problems, problem.Problem{Reason: problem.Write, Text: err.Error()}), err
	}
	k.loaded = ""
	k.Logger.Info("rules are published", "files", len(wanted.set), "groups", groups(wanted.set), "left_out", len(problems))
	return problems, nil
}

// settle makes known how things stand after a round.
func (k *Keeper) settle(wanted wanted, problems []problem.Problem) {
	problem.Sort(problems)
	set, err := k.Store.Current()
	at := state{problems: problems, warnings: wanted.warnings, ready: err == nil, files: len(set), groups: groups(set)}
	at.loaded = at.ready && k.loaded == set.Key()
	at.good = at.loaded && len(problems) == 0 && k.loaded == wanted.set.Key()
	changed := k.status.set(at, time.Now())
	k.metrics.set(at, changed)
	k.log(at, changed)
}

// log says what changed since the last round, and nothing else.
func (k *Keeper) log(at state, changed change) {
	if changed.problems {
		for i, p := range at.problems {
			if i == mostLines {
				k.Logger.Error("more problems are not logged", "problems", len(at.problems))
				break
			}
			if p.Reason == problem.Waiting {
				k.Logger.Warn("waiting for the ruler", "problem", p.String())
			} else {
				k.Logger.Error("the rules are not all loaded", "reason", p.Reason, "problem", p.String())
			}
		}
	}
	if changed.warnings {
		for _, w := range at.warnings[:min(mostLines, len(at.warnings))] {
			k.Logger.Warn("a rule file is odd", "problem", w.String())
		}
	}
	if at.good && changed.good {
		k.Logger.Info("the ruler has loaded the rules", "files", at.files, "groups", at.groups)
	}
}

// mostLines bounds what one round logs of a kind.
const mostLines = 20
