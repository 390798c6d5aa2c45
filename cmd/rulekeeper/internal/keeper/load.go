package keeper

import (
	"context"
	"errors"
	"time"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/ruler"
)

// load has the ruler load what is published, unless it has. It returns whether
// there is a ruler to wait for.
func (k *Keeper) load(ctx context.Context, wanted wanted) (waiting bool, problems []problem.Problem) {
	set, err := k.Store.Current()
	if err != nil || k.loaded == set.Key() {
		return false, nil
	}
	err = k.Ruler.Reload(ctx)
	var refusal *ruler.RefusedError
	switch {
	case err == nil:
		k.loaded, k.unconfirmed = set.Key(), time.Time{}
		if err := k.Store.Confirm(set.Key() == wanted.set.Key()); err != nil {
			return false, []problem.Problem{{Reason: problem.Write, Text: err.Error()}}
		}
		return false, nil
	case errors.As(err, &refusal):
		return false, k.refused(ctx, set.Key(), err)
	default:
		return true, k.notUp(err)
	}
}

// refused goes back to the set before.
func (k *Keeper) refused(ctx context.Context, key string, err error) []problem.Problem {
	why := describe(err)
	problems := []problem.Problem{{Reason: problem.Ruler, Text: why}}
	if !k.Store.CanGoBack() {
		problems[0].Text += "; there is no set before to go back to"
		return problems
	}
	k.refusedAt = time.Now()
	if err := errors.Join(k.Store.Refuse(key, why), k.Store.GoBack()); err != nil {
		return append(problems, problem.Problem{Reason: problem.Write, Text: err.Error()})
	}
	set, err := k.Store.Current()
	if err == nil {
		err = k.Ruler.Reload(ctx)
	}
	if err != nil {
		return append(problems, problem.Problem{Reason: problem.Ruler, Text: "go back to the set before: " + describe(err)})
	}
	k.loaded = set.Key()
	k.Logger.Warn("the ruler has the rules from before again", "files", len(set))
	return problems
}

// notUp gives a ruler that does not come up the set that one has loaded: it may be
// the new rules that make it exit. They are tried again when it is up.
func (k *Keeper) notUp(err error) []problem.Problem {
	problems := []problem.Problem{{Reason: problem.Waiting, Text: describe(err)}}
	if k.unconfirmed.IsZero() {
		k.unconfirmed = time.Now()
	}
	if !k.Store.CanGoBack() || time.Since(k.unconfirmed) < startTime {
		return problems
	}
	k.hold, k.unconfirmed = true, time.Time{}
	if err := k.Store.GoBack(); err != nil {
		problems = append(problems, problem.Problem{Reason: problem.Write, Text: err.Error()})
	}
	return problems
}

func describe(err error) string { return "reload the rules: " + err.Error() }
