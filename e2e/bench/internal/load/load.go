package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Load pushes a fleet's reports over several connections. A gateway keeps its
// connection, so its samples arrive in the order of their times. Its methods
// are for one goroutine at a time; Sent may be called by any.
type Load struct {
	// Track asks for a record of some series, see Tracks. Set it before pushing.
	Track bool

	lanes []*lane
	sent  atomic.Int64
	fresh atomic.Int64 // the next gateway that no push has named
}

// lane is one connection and the pushes that go through it.
type lane struct {
	conn   sender
	pushes []*Push
	next   int
	last   int64 // the time that was stamped last
}

// sender sends requests over a connection of its own.
type sender interface {
	// post returns the status of the answer, and its text when that is no success.
	post(ctx context.Context, request []byte) (status int, text string, err error)
	close()
}

// sender is for requests of a format, which may be nil, to a server.
func (f *Format) sender(address string) sender {
	if f != nil && f.Calls != "" {
		return newCaller("http://" + f.Calls + f.Path)
	}
	return &conn{address: address}
}

// New prepares the pushes of a shape for a server, host:port.
func New(address string, shape Shape, connections int) *Load {
	l := &Load{}
	l.fresh.Store(int64(shape.Gateways))
	for range connections {
		l.lanes = append(l.lanes, &lane{conn: shape.Format.sender(address)})
	}
	for i, p := range shape.Pushes(address) {
		lane := l.lanes[i%connections]
		lane.pushes = append(lane.pushes, p)
	}
	return l
}

// Close closes the connections.
func (l *Load) Close() {
	for _, lane := range l.lanes {
		lane.conn.close()
	}
}

// Sent is the number of samples that were accepted so far.
func (l *Load) Sent() int64 { return l.sent.Load() }

// Result is what became of a number of pushes.
type Result struct {
	Pushes, Samples int // that were accepted
	Refused         int // samples that were not
	Why             string
	Wall            time.Duration
}

// Rounds reports the whole fleet n times, as fast as the server takes it, or as
// much of it as it takes in the given time; 0 is no bound. A push that is
// refused is counted and not sent again.
func (l *Load) Rounds(ctx context.Context, n int, atMost time.Duration) (Result, error) {
	start := time.Now()
	return l.all(ctx, func(lane *lane, done int) *Push {
		if done == n*len(lane.pushes) || atMost > 0 && time.Since(start) > atMost {
			return nil
		}
		return lane.take()
	})
}

// Prepare writes the requests of the next n rounds, where they are written anew each time: what that costs is not to disturb the server that is
// measured.
func (l *Load) Prepare(n int) {
	for _, lane := range l.lanes {
		for range n {
			for _, p := range lane.pushes {
				if p.write != nil && len(p.ahead) < n {
					lane.last = max(lane.last+1, time.Now().UnixMilli())
					p.prepare(lane.last)
				}
			}
		}
	}
}

// Fresh pushes at least so many samples of gateways that were never seen.
func (l *Load) Fresh(ctx context.Context, samples int) (Result, error) {
	var taken atomic.Int64
	return l.all(ctx, func(lane *lane, _ int) *Push {
		p := lane.take()
		if taken.Add(int64(p.Samples))-int64(p.Samples) >= int64(samples) {
			return nil
		}
		p.Renumber(int(l.fresh.Add(int64(p.count))) - p.count)
		return p
	})
}

// all has each lane send what next returns, which is told how many that were
// before, until that is nil.
func (l *Load) all(ctx context.Context, next func(lane *lane, done int) *Push) (Result, error) {
	start := time.Now()
	results := make([]Result, len(l.lanes))
	g, ctx := errgroup.WithContext(ctx)
	for i, lane := range l.lanes {
		g.Go(func() error {
			for done := 0; ; done++ {
				p := next(lane, done)
				if p == nil {
					return nil
				}
				if err := l.send(ctx, lane, p, &results[i]); err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	return sum(results, start), err
}

func sum(results []Result, start time.Time) Result {
	var all Result
	for _, r := range results {
		all.add(r)
	}
	all.Wall = time.Since(start)
	return all
}

func (r *Result) add(o Result) {
	r.Pushes += o.Pushes
	r.Samples += o.Samples
	r.Refused += o.Refused
	if o.Why != "" {
		r.Why = o.Why
	}
}

func (lane *lane) take() *Push {
	p := lane.pushes[lane.next%len(lane.pushes)]
	lane.next++
	return p
}

// send stamps a push with a time after that of its lane's last one and sends it.
func (l *Load) send(ctx context.Context, lane *lane, p *Push, r *Result) error {
	if !p.takeAhead() {
		lane.last = max(lane.last+1, time.Now().UnixMilli())
		p.Stamp(lane.last)
	}
	status, text, err := lane.conn.post(ctx, p.request)
	if err != nil {
		return err
	}
	if status/100 != 2 {
		r.Refused += p.Samples
		r.Why = fmt.Sprintf("%d: %s", status, text)
		return nil
	}
	r.Pushes++
	r.Samples += p.Samples
	l.sent.Add(int64(p.Samples))
	if l.Track {
		p.note(lane.last)
	}
	return nil
}

// Latency is how long one push of Pace took.
type Latency struct {
	Due  time.Time
	Took time.Duration // since it was due, so a push that has to queue counts in full
}

// Pace pushes at a fixed rate, in samples a second, until the context ends: each
// push has its time, and one that is late does not move the next. observe is
// called for each by one goroutine at a time. A refused push is an error.
func (l *Load) Pace(ctx context.Context, rate float64, observe func(Latency)) (Result, error) {
	var mu sync.Mutex
	pushes, samples := 0, 0
	for _, lane := range l.lanes {
		for _, p := range lane.pushes {
			pushes++
			samples += p.Samples
		}
	}
	interval := time.Duration(float64(samples) / float64(pushes) / rate * float64(time.Second))
	start := time.Now()
	results := make([]Result, len(l.lanes))
	var g errgroup.Group
	for i, lane := range l.lanes {
		g.Go(func() error {
			timer := time.NewTimer(0)
			defer timer.Stop()
			for n := 0; ; n++ {
				due := start.Add(time.Duration(n*len(l.lanes)+i) * interval)
				timer.Reset(time.Until(due))
				select {
				case <-ctx.Done():
					return nil
				case <-timer.C:
				}
				r := &results[i]
				// One that has begun is finished: else nobody knew whether it counts.
				if err := l.send(context.WithoutCancel(ctx), lane, lane.take(), r); err != nil {
					return err
				}
				if r.Refused > 0 {
					return fmt.Errorf("a push was refused: %s", r.Why)
				}
				if observe != nil {
					mu.Lock()
					observe(Latency{Due: due, Took: time.Since(due)})
					mu.Unlock()
				}
			}
		})
	}
	err := g.Wait()
	return sum(results, start), err
}
