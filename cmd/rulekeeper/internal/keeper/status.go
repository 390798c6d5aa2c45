package keeper

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
	"github.com/hubring/hubring/cmd/rulekeeper/internal/publish"
)

// state is how things stand after a round.
type state struct {
	problems []problem.Problem
	warnings []problem.Problem
	ready    bool // a set is published
	loaded   bool // the ruler has the published set
	good     bool // and it is what the sources hold
	files    int  // of the published set
	groups   int
}

// change is what is not as it was after the round before.
type change struct{ problems, warnings, good bool }

// status is the state for those who ask.
type status struct {
	mu        sync.Mutex // guards all below
	now       state
	last      []problem.Problem
	lastSince time.Time // of the problems in last, which may be mended
	mended    time.Time // zero while they are not
}

// set takes the state after a round and returns what changed.
func (s *status) set(at state, when time.Time) change {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed := change{
		problems: !slices.Equal(s.now.problems, at.problems),
		warnings: !slices.Equal(s.now.warnings, at.warnings),
		good:     s.now.good != at.good,
	}
	if changed.problems && len(at.problems) > 0 {
		s.last, s.lastSince, s.mended = at.problems, when, time.Time{}
	}
	if len(s.last) > 0 && at.good && s.mended.IsZero() {
		s.mended = when
	}
	s.now = at
	return changed
}

// Handler serves a page for people on /, and probes for machines.
func (k *Keeper) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", k.status.page)
	mux.HandleFunc("GET /-/healthy", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "rulekeeper is healthy") })
	mux.HandleFunc("GET /-/ready", k.status.readiness)
	return mux
}

func (s *status) readiness(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	ready := s.now.ready
	s.mu.Unlock()
	if !ready {
		http.Error(w, "no rules are published yet", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "rulekeeper is ready")
}

// page says how things stand and what was wrong last. It is plain text: parts of it
// are other people's.
func (s *status) page(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	at := s.now
	fmt.Fprintf(w, "rulekeeper\n\npublished: %t, %d files, %d groups\nloaded by the ruler: %t\nthe sources are what is loaded: %t\n", at.ready, at.files, at.groups, at.loaded, at.good)
	if len(s.last) > 0 {
		fmt.Fprintf(w, "\nlast error, since %s", s.lastSince.UTC().Format(time.RFC3339))
		if !s.mended.IsZero() {
			fmt.Fprintf(w, ", mended %s", s.mended.UTC().Format(time.RFC3339))
		}
		fmt.Fprintln(w, ":")
		for _, p := range s.last {
			fmt.Fprintf(w, "  %s\n", p)
		}
	}
	if len(at.warnings) > 0 {
		fmt.Fprintln(w, "\nwarnings:")
		for _, p := range at.warnings {
			fmt.Fprintf(w, "  %s\n", p)
		}
	}
}

// groups counts the groups of a set that was checked before it was published.
func groups(set publish.Set) int {
	count := 0
	for _, content := range set {
		var file struct {
			Groups []yaml.Node `yaml:"groups"`
		}
		if yaml.Unmarshal(content, &file) == nil {
			count += len(file.Groups)
		}
	}
	return count
}
