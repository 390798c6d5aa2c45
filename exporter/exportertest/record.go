package exportertest

import (
	"context"
	"fmt"
	"time"
)

// Push is a POST /metrics that reached the hub.
type Push struct {
	Number   int       // counts all pushes of the hub, from 0
	At       time.Time // when its header had arrived
	Samples  int       // in its text; 0 if that can't be read
	Bytes    int       // of its body as it was sent, as far as it was read
	Encoding string    // its Content-Encoding
	Status   int       // of the answer; 0 as long as there is none, or if the connection was cut
	Reason   string    // what the hub finds wrong with it, empty if nothing
	Taken    bool      // its samples are taken in
	Done     bool      // its answer is decided, or there is none
}

// Sample is one sample that the hub took in.
type Sample struct {
	Series    string // its canonical text: labels sorted by name, those of empty value left out
	Gateway   string // its label gatewayID, empty if it has none
	Value     float64
	Timestamp int64 // milliseconds since the epoch; 0 if it was sent without
	Push      int   // the Number of its Push
}

// Request is any request that reached the hub, pushes and probes among them.
type Request struct {
	At     time.Time // when its header had arrived
	Method string
	Path   string
}

// Samples returns the samples taken in, in the order of their arrival.
func (h *Hub) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.samples.list()
}

// Pushes returns the pushes in the order of their arrival, also those under way.
func (h *Hub) Pushes() []Push {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pushes.list()
}

// Requests returns the requests in the order of their arrival.
func (h *Hub) Requests() []Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.requests.list()
}

// OnPush makes the hub call f for every push that it takes in, after its samples are
// recorded and before it is answered, one push at a time. The body is the text
// after decompression, to be read only and only during the call; Parse reads it.
// Nil ends that. f may call the hub and its Network, but must not wait for another
// push.
func (h *Hub) OnPush(f func(push Push, body []byte)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onPush = f
}

// Wait returns when the hub has taken in n samples since Reset, or with an error when
// ctx ends.
func (h *Hub) Wait(ctx context.Context, n int) error {
	return h.await(ctx, "samples", n, &h.arrived)
}

// WaitPushes returns when the hub is done with n pushes since Reset, whether it took
// them in or not, or with an error when ctx ends.
func (h *Hub) WaitPushes(ctx context.Context, n int) error {
	return h.await(ctx, "pushes", n, &h.answered)
}

// await returns when the count, which the hub's lock guards, is n.
func (h *Hub) await(ctx context.Context, what string, n int, count *int) error {
	for {
		h.mu.Lock()
		got := *count
		if h.news == nil {
			h.news = make(chan struct{})
		}
		news := h.news
		h.mu.Unlock()
		if got >= n {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d %s, of which %d came: %w", n, what, got, context.Cause(ctx))
		}
	}
}

func (h *Hub) announceLocked() {
	if h.news != nil {
		close(h.news)
		h.news = nil
	}
}

// Reset forgets what arrived. What the hub was told to do stays, and the numbers of
// pushes go on.
func (h *Hub) Reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples.reset()
	h.pushes.reset()
	h.requests.reset()
	h.ends.reset()
	h.arrived, h.answered = 0, 0
}

// tail is a list of which only the end is kept.
type tail[T any] struct {
	limit int // how many are kept; all if negative
	items []T // up to twice the limit
	gone  int // how many were before
}

// next is the number of the item that comes next, from 0.
func (t *tail[T]) next() int { return t.gone + len(t.items) }

func (t *tail[T]) add(item T) {
	if t.limit == 0 {
		t.gone++
		return
	}
	if t.limit > 0 && len(t.items) >= 2*t.limit {
		t.drop(len(t.items) - t.limit + 1)
	}
	t.items = append(t.items, item)
}

// set changes the item with the number, if it is kept.
func (t *tail[T]) set(number int, item T) {
	if i := number - t.gone; i >= 0 {
		t.items[i] = item
	}
}

func (t *tail[T]) drop(n int) {
	kept := copy(t.items, t.items[n:])
	clear(t.items[kept:])
	t.items = t.items[:kept]
	t.gone += n
}

// list returns a copy of what is kept.
func (t *tail[T]) list() []T {
	kept := t.items
	if t.limit >= 0 && len(kept) > t.limit {
		kept = kept[len(kept)-t.limit:]
	}
	return append([]T(nil), kept...)
}

func (t *tail[T]) reset() {
	t.gone, t.items = t.next(), nil
}
