package web

import (
	"sync"
	"time"
)

// maxNotes bounds what is remembered to have been said.
const maxNotes = 1000

// notes remembers what was said once and need not be said again.
type notes struct {
	mu   sync.Mutex
	said map[string]bool
}

// first says whether a thing is said for the first time.
func (n *notes) first(what string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.said[what] || len(n.said) >= maxNotes {
		return false
	}
	if n.said == nil {
		n.said = map[string]bool{}
	}
	n.said[what] = true
	return true
}

// again makes first say yes once more, when what was said has ended.
func (n *notes) again(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.said, what)
}

// sayEvery is how often the same trouble is said at most.
const sayEvery = time.Minute

// seldom says now and then that it may be said again.
type seldom struct {
	mu   sync.Mutex
	last time.Time
}

func (s *seldom) now() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.last) < sayEvery {
		return false
	}
	s.last = time.Now()
	return true
}
