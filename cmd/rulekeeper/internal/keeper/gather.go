package keeper

import (
	"context"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
)

// wanted is what the sources hold: the good files, and what is wrong with the others.
type wanted struct {
	set      publish.Set
	problems []problem.Problem
	warnings []problem.Problem
}

// gather reads and checks the sources.
func (k *Keeper) gather(ctx context.Context) wanted {
	files, problems := k.Sources.Read(ctx)
	w := wanted{set: publish.Set{}, problems: problems}
	for _, file := range files {
		result, problems := k.Checker.File(file.Path, file.Content)
		if len(problems) > 0 {
			w.problems = append(w.problems, problems...)
			continue
		}
		w.set[publish.Name(file.Path)] = result.Published
		w.warnings = append(w.warnings, result.Warnings...)
	}
	return w
}
