package keeper

import (
	"context"
	"crypto/sha256"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/check"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
)

// wanted is what the sources hold: the good files, and what is wrong with the others.
type wanted struct {
	set      publish.Set
	problems []problem.Problem
	warnings []problem.Problem
}

// checked is what was found out about a file.
type checked struct {
	content  [sha256.Size]byte
	result   check.Result
	problems []problem.Problem
}

// gather reads the sources and checks what is new in them.
func (k *Keeper) gather(ctx context.Context) wanted {
	files, problems := k.Sources.Read(ctx)
	w := wanted{set: publish.Set{}, problems: problems}
	before := k.checked
	k.checked = map[string]checked{}
	for _, file := range files {
		known, ok := before[file.Path]
		if content := sha256.Sum256(file.Content); !ok || known.content != content {
			known = checked{content: content}
			known.result, known.problems = k.Checker.File(file.Path, file.Content)
		}
		k.checked[file.Path] = known
		if len(known.problems) > 0 {
			w.problems = append(w.problems, known.problems...)
			continue
		}
		w.set[publish.Name(file.Path)] = known.result.Published
		w.warnings = append(w.warnings, known.result.Warnings...)
	}
	return w
}
