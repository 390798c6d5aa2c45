package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
)

// Config says what is given away. All are needed but Name.
type Config struct {
	Store  *store.Store
	Client *http.Client
	Name   string // of this hub
	// Pass is called to have scrapers pass what was taken, and calls what it is given, which returns how many samples each passed that the
	// other hub has.
	Pass func(func() []int)
}

// Account is what became of what no scraper is known to have, in samples but for Ended.
type Account struct {
	To      string // name of the other hub
	Taken   int    // by it
	Ended   int    // gateways of which it knows that they had ended
	Refused int    // by it; they wait here
	Left    int    // that wait here, also those
	Waiting string // why the other hub is waited for, empty if it is not
}

// Error is why something is left, but for the end of a context.
type Error struct {
	Reason string // in one word
	text   string
}

func (e *Error) Error() string { return e.text }

// Why something is left.
const (
	NoHub    = "no_hub"    // the other end does not answer as a hub
	Itself   = "itself"    // it is this one, or may be
	NotTaken = "not_taken" // the other hub takes nothing, whatever it is sent
	Stopping = "stopping"  // the other hub takes nothing any more
	Refused  = "refused"   // it refused some
)

// Relay gives away what a hub has to another one. Account may be called from any goroutine.
type Relay struct {
	cfg  Config
	way  way
	zip  *zipper
	body []byte

	rank   *series.Ranking // that places are of
	places []uint32

	// Gateways of which the other hub takes no more: for good, or until it was waited for.
	refused, crowded map[uint32]bool
	crowdedFor       time.Duration // the longest Retry-After of those

	mu      sync.Mutex
	account Account
}

// New returns a relay to the hub with a URL, which is http or https. Its user info, if any, is sent as basic auth.
func New(cfg Config, to *url.URL) *Relay {
	return &Relay{cfg: cfg, way: newWay(cfg.Client, to, cfg.Name), zip: newZipper(), refused: map[uint32]bool{}, crowded: map[uint32]bool{}}
}

// Account returns what was done so far.
func (r *Relay) Account() Account {
	pending, _ := r.cfg.Store.Log.Pending()
	left := pending + r.cfg.Store.Log.Unsure()
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.account
	a.Left = left
	return a
}

func (r *Relay) note(change func(*Account)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change(&r.account)
}

// Check asks who is at the other end. Its error is an *Error, or that of ctx.
func (r *Relay) Check(ctx context.Context) error {
	name, err := r.way.who(ctx)
	if err == nil && (name == "" || name == r.cfg.Name) {
		err = &Error{Itself, fmt.Sprintf("the hub at the other end calls itself %q, and this one %q; another hub with a name of its own (--hub.name) is needed", name, r.cfg.Name)}
	}
	r.note(func(a *Account) { a.To = name })
	return err
}

// Run gives everything away. Nothing may be pushed meanwhile; scrapers may come. Its error is an *Error, that of the store's disk, or
// the cause of ctx: then something is left.
func (r *Relay) Run(ctx context.Context) error {
	err := r.run(ctx)
	if a := r.Account(); err != nil && a.Taken > 0 {
		r.cfg.Store.Log.BeginAnew()
	}
	return err
}

func (r *Relay) run(ctx context.Context) error {
	for {
		end := r.cfg.Store.Log.End()
		kept, err := r.round(ctx, end)
		switch {
		case err != nil:
			return err
		case r.cfg.Store.Log.End() > end+uint64(kept): // markers, of gateways that went elsewhere meanwhile
		case kept == 0:
			return nil
		case len(r.crowded) == 0:
			return &Error{Refused, fmt.Sprintf("the other hub refuses samples of %d gateways, and they wait here", len(r.refused))}
		}
		if len(r.crowded) > 0 {
			if err := r.waitForRoom(ctx); err != nil {
				return err
			}
		}
	}
}

// waitForRoom waits until gateways may be tried again of which the other hub has too much.
func (r *Relay) waitForRoom(ctx context.Context) error {
	r.note(func(a *Account) {
		a.Waiting = fmt.Sprintf("the other hub takes no more of %d gateways for now", len(r.crowded))
	})
	if err := sleep(ctx, max(r.crowdedFor, maxBackoff)); err != nil {
		return err
	}
	r.note(func(a *Account) { a.Waiting = "" })
	clear(r.crowded)
	r.crowdedFor = 0
	return nil
}

// round gives away what is before a position, and returns how much of it was put back.
func (r *Relay) round(ctx context.Context, end uint64) (kept int, err error) {
	r.note(func(a *Account) { a.Refused = 0 })
	for {
		m := r.cfg.Store.Missing(chunkSamples)
		if m.To = min(m.To, end); m.From >= m.To {
			return kept, nil
		}
		m.Lead = min(m.Lead, m.To)
		c := read(m, m.To < end)
		taken, err := r.send(ctx, c)
		if err != nil && taken == 0 {
			return kept, err // all stays as it is
		}
		again, failed := r.settle(c)
		switch {
		case err != nil:
			return kept, err
		case errors.Is(failed, series.ErrReplaced):
			continue // a scraper has passed some of it; the rest is sent again
		case failed != nil:
			return kept, failed
		}
		kept += again
		left := len(c.order) - taken
		r.note(func(a *Account) { a.Refused += left })
	}
}

func (r *Relay) settle(c *chunk) (again int, err error) {
	r.cfg.Pass(func() (handed []int) {
		handed, again, err = c.settle(r.cfg.Store)
		return handed
	})
	return again, err
}

// send sends a chunk and marks what is taken, and returns how many records that is.
func (r *Relay) send(ctx context.Context, c *chunk) (taken int, err error) {
	if c.Rank != r.rank {
		r.rank, r.places = c.Rank, placesOf(c.Rank)
	}
	for q := range c.requests {
		n, err := r.give(ctx, q)
		if taken += n; err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// give sends a request, or halves of it where the other hub refuses something in it, until what it refuses is of one gateway.
func (r *Relay) give(ctx context.Context, q request) (taken int, err error) {
	if q = r.without(q); len(q.places) == 0 {
		return 0, nil
	}
	res, err := r.post(ctx, q)
	if err != nil {
		return 0, err
	}
	if res.Outcome == verdict.Delivered {
		r.took(q)
		return len(q.places), nil
	}
	tooLarge := res.Status == http.StatusRequestEntityTooLarge && !q.markers()
	if one, other := q.halves(); len(one.places) > 0 && (q.gateways() || tooLarge) {
		for _, half := range []request{one, other} {
			n, err := r.give(ctx, half)
			if taken += n; err != nil {
				return taken, err
			}
		}
		return taken, nil
	}
	gateway := q.record(0).gateway
	if res.Outcome == verdict.Crowded {
		r.crowded[gateway], r.crowdedFor = true, max(r.crowdedFor, res.Wait)
	} else {
		r.refused[gateway] = true
	}
	return 0, nil
}

// without leaves out the gateways of which the other hub takes no more, so that none of theirs goes out behind something that did not.
func (r *Relay) without(q request) request {
	if len(r.refused)+len(r.crowded) == 0 {
		return q
	}
	rest := request{of: q.of}
	for i, place := range q.places {
		if g := q.record(i).gateway; !r.refused[g] && !r.crowded[g] {
			rest.places = append(rest.places, place)
		}
	}
	return rest
}

func (r *Relay) took(q request) {
	gateways := 0
	for i := range q.places {
		q.record(i).taken = true
		if i == 0 || q.record(i).gateway != q.record(i-1).gateway {
			gateways++
		}
	}
	r.note(func(a *Account) {
		if q.markers() {
			a.Ended += gateways
		} else {
			a.Taken += len(q.places)
		}
	})
}

// post sends a request until it is answered for good.
func (r *Relay) post(ctx context.Context, q request) (verdict.Result, error) {
	path, contentType := "/metrics", exposition.ContentType
	switch {
	case q.markers():
		path, r.body = endedPath, q.ends(r.body[:0])
	case q.words():
		contentType, r.body = exposition.ProtobufContentType, q.protobuf(r.body[:0])
	default:
		r.body = q.text(r.body[:0], r.places)
	}
	return r.way.post(ctx, path, contentType, r.body, r.zip, func(why string) { r.note(func(a *Account) { a.Waiting = why }) })
}
