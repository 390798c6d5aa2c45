package moves

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const (
	// span is what is remembered as a whole.
	span = time.Hour
	// settled is how old a time is in which nobody is found any more to have come: a Prometheus takes nothing that is
	// older than its out-of-order window, of 2 hours.
	settled = 2*time.Hour + 15*time.Minute
	// heldFor is for what was not to be expected: blocks that somebody put there.
	heldFor = 10 * time.Minute

	mostSpans  = 40 * 24
	mostMovers = 100_000 // over all spans
)

// History remembers who moved in times that are over. Its methods may be called from any goroutine.
type History struct {
	Now func() time.Time

	mu     sync.Mutex
	shards []*shard.Shard // of which it is
	spans  map[int64]moved
	movers int
}

// moved are those who came to a shard in a span, with all that was known of them.
type moved struct {
	until   time.Time
	gateway map[string][]Begin
}

// Known returns what is remembered of the time between from and to, in milliseconds, and since when nothing is; after
// to, if all of it is.
func (h *History) Known(shards []*shard.Shard, from, to int64) (k *Known, since int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	k = &Known{Moved: map[string][]Begin{}}
	if !slices.Equal(h.shards, shards) {
		return k, from
	}
	now := h.Now()
	for since = from; since <= to; since = start(since) + span.Milliseconds() {
		m, there := h.spans[start(since)]
		if !there || now.After(m.until) {
			break
		}
		k.add(m.gateway)
	}
	return k, since
}

// Ask asks the shards as the function does, for all gateways, for what is not remembered.
func (h *History) Ask(ctx context.Context, shards []*shard.Shard, label string, from, to int64) (*Known, error) {
	known, since := h.Known(shards, from, to)
	if since > to {
		return known, nil
	}
	since = start(since)
	asked, err := Ask(ctx, shards, label, since, to, nil)
	if err != nil {
		return nil, err
	}
	if len(asked.Missing) == 0 {
		h.keep(shards, since, to, asked)
	}
	known.add(asked.Moved)
	known.Missing = asked.Missing
	return known, nil
}

// keep remembers what was said of the spans between from and to that are over.
func (h *History) keep(shards []*shard.Shard, from, to int64, k *Known) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.Now()
	if h.spans == nil || !slices.Equal(h.shards, shards) || len(h.spans) > mostSpans || h.movers > mostMovers {
		h.shards, h.spans, h.movers = shards, map[int64]moved{}, 0
	}
	over := start(min(to, now.Add(-settled).UnixMilli()))
	from = max(from, over-mostSpans*span.Milliseconds()) // a query may be about years
	for begin := from; begin < over; begin += span.Milliseconds() {
		h.movers -= len(h.spans[begin].gateway)
		h.spans[begin] = moved{until: now.Add(heldFor), gateway: map[string][]Begin{}}
	}
	for gateway, begins := range k.Moved {
		for _, b := range begins {
			if at := start(b.At); at >= from && at < over && h.spans[at].gateway[gateway] == nil {
				h.spans[at].gateway[gateway] = begins
				h.movers++
			}
		}
	}
}

// add adds what else is known of gateways that moved.
func (k *Known) add(more map[string][]Begin) {
	for gateway, begins := range more {
		all := append(slices.Clip(k.Moved[gateway]), begins...)
		slices.SortStableFunc(all, func(a, b Begin) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Shard, b.Shard)) })
		k.Moved[gateway] = slices.Compact(all)
	}
}

// start is when the span began that a time is in.
func start(ms int64) int64 {
	if ms < 0 {
		ms -= span.Milliseconds() - 1
	}
	return ms / span.Milliseconds() * span.Milliseconds()
}
