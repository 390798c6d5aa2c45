package web

import "sync"

// entrance counts the pushes that are under way and can be closed: then whoever
// is in may finish, and nobody comes in. Its zero value is open.
type entrance struct {
	mu     sync.Mutex
	inside int
	shut   bool          // for good
	empty  chan struct{} // made when it is closed; closed once nobody is in
}

// enter says whether a push may begin. Whoever is let in calls leave.
func (e *entrance) enter() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.empty != nil {
		return false
	}
	e.inside++
	return true
}

func (e *entrance) leave() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.inside--; e.inside == 0 && e.empty != nil {
		close(e.empty)
	}
}

// close lets nobody in any more. What it returns is closed once nobody is in.
func (e *entrance) close() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shut = true
	return e.closeLocked()
}

// hold does so until letGo.
func (e *entrance) hold() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closeLocked()
}

// letGo lets pushes in again, unless the entrance was closed for good.
func (e *entrance) letGo() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.shut {
		e.empty = nil
	}
}

func (e *entrance) closeLocked() <-chan struct{} {
	if e.empty == nil {
		e.empty = make(chan struct{})
		if e.inside == 0 {
			close(e.empty)
		}
	}
	return e.empty
}

// closed says whether nobody is let in.
func (e *entrance) closed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.empty != nil
}

func (e *entrance) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.inside
}
