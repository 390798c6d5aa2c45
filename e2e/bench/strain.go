package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/procstat"
	"github.com/hubring/hubring/e2e/internal/report"
)

const (
	// pace is what is pushed while latencies are measured, in pushes a second.
	pace = 300
	// calmTime is how long the hub is left with that after it was filled, before
	// a push counts as undisturbed, and then how long they count.
	calmTime = 200 * time.Millisecond
	// latencySlices is how many parts of a run have a p99 of their own. Their median is
	// what counts, so that one disturbance from outside does not decide.
	latencySlices = 5
)

// span is a stretch of time.
type span struct{ From, To time.Time }

func (s span) holds(t time.Time) bool { return !t.Before(s.From) && t.Before(s.To) }

// latency compares how long pushes take during a scrape and without one, in the
// same run: the hub is filled, left in peace, scraped, and so on. So it does with
// the server that only reads, which says how much of it is the machine's doing.
func (r *hubRun) latency(ctx context.Context) error {
	hub, err := r.start(ctx, r.options.shape.Gateways)
	if err != nil {
		return err
	}
	defer hub.stop()
	ours, err := r.disturb(ctx, hub)
	if err != nil {
		return err
	}
	p := programs{workshop: r.workshop, options: r.options}
	s, err := server.Start(ctx, p.serve("serve-ceiling"))
	if err != nil {
		return err
	}
	t, err := newTrial(ctx, peer{scrape: fmt.Sprintf("/metrics?samples=%d", 2*r.c.some)}, s, r.options.shape, r.options.connections)
	if err != nil {
		s.Stop()
		return err
	}
	ceiling := &subject{t}
	defer ceiling.stop()
	theirs, err := r.disturb(ctx, ceiling)
	if err != nil {
		return err
	}
	r.goals.Note(fmt.Sprintf("push without a scrape, p50 of %d", ours.calm.count), ours.calm.p50, " ms")
	r.goals.Note("push without a scrape, p99", ours.calm.p99, " ms")
	r.goals.Note(fmt.Sprintf("push during a scrape, p50 of %d", ours.scraped.count), ours.scraped.p50, " ms")
	r.goals.Note("push during a scrape, p99", ours.scraped.p99, " ms")
	r.goals.AtMost("push, p99 during a scrape of p99 without", ours.scraped.p99/ours.calm.p99, latencyGoal, "x")
	r.goals.Note("the same of net/http that only reads", theirs.scraped.p99/theirs.calm.p99, "x")
	return nil
}

// latencies are how long pushes took without a scrape and during one.
type latencies struct{ calm, scraped quantiles }

// quantiles are those of so many latencies, in milliseconds.
type quantiles struct {
	count    int
	p50, p99 float64
}

// quantilesOf returns the quantiles of the pushes that were due in the spans: each
// is the median of those of several parts.
func quantilesOf(seen []load.Latency, spans []span) (quantiles, error) {
	var q quantiles
	var p50, p99 []float64
	for i := range latencySlices {
		part := within(seen, spans[i*len(spans)/latencySlices:(i+1)*len(spans)/latencySlices])
		if len(part) == 0 {
			return q, errors.New("no push was due in a part of the run; raise --pending or --scrapes")
		}
		q.count += len(part)
		p50, p99 = append(p50, report.Quantile(part, 0.5)), append(p99, report.Quantile(part, 0.99))
	}
	q.p50, q.p99 = report.Median(p50), report.Median(p99)
	return q, nil
}

// disturb pushes at a fixed rate while a server is filled, left in peace and
// scraped.
func (r *hubRun) disturb(ctx context.Context, s *subject) (out latencies, err error) {
	if _, err := s.load.Rounds(ctx, 1, 0); err != nil { // known from here on
		return out, err
	}
	paced := load.New(s.server.Address, r.options.shape, r.options.connections)
	defer paced.Close()
	paceCtx, stop := context.WithCancel(ctx)
	defer stop()
	var seen []load.Latency
	done := make(chan error, 1)
	go func() {
		rate := float64(pace * r.options.shape.PerPush * r.options.shape.SeriesEach)
		_, err := paced.Pace(paceCtx, rate, func(l load.Latency) { seen = append(seen, l) })
		done <- err
	}()
	calm, scraped, err := r.alternate(ctx, s)
	stop()
	if err = errors.Join(err, <-done); err != nil {
		return out, err
	}
	if out.calm, err = quantilesOf(seen, calm); err != nil {
		return out, err
	}
	out.scraped, err = quantilesOf(seen, scraped)
	return out, err
}

// alternate fills the hub, leaves it in peace and scrapes it, in turns, and
// returns when it was left in peace and when it was scraped.
func (r *hubRun) alternate(ctx context.Context, s *subject) (calm, scraped []span, err error) {
	for range r.c.scrapes {
		if _, err := s.load.Rounds(ctx, r.reports(r.c.some), 0); err != nil {
			return nil, nil, err
		}
		if err := wait(ctx, calmTime); err != nil {
			return nil, nil, err
		}
		from := time.Now()
		if err := wait(ctx, calmTime); err != nil {
			return nil, nil, err
		}
		calm = append(calm, span{from, time.Now()})
		during, err := r.workshop.scrapeApart(ctx, s.server.URL(s.peer.scrape))
		if err != nil {
			return nil, nil, err
		}
		scraped = append(scraped, during)
	}
	return calm, scraped, nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// within returns how long the pushes took that were due in one of the spans, in
// milliseconds.
func within(seen []load.Latency, spans []span) []float64 {
	var out []float64
	for _, l := range seen {
		for _, s := range spans {
			if s.holds(l.Due) {
				out = append(out, l.Took.Seconds()*1e3)
				break
			}
		}
	}
	return out
}

// overload fills a hub and goes on pushing.
func (r *hubRun) overload(ctx context.Context) error {
	for _, policy := range []string{"refuse", "newest"} {
		if err := r.overloadOne(ctx, policy); err != nil {
			return fmt.Errorf("--limit.policy=%s: %w", policy, err)
		}
	}
	return nil
}

func (r *hubRun) overloadOne(ctx context.Context, policy string) error {
	limit := r.reports(r.c.some) * r.options.shape.Series()
	s, err := r.start(ctx, r.options.shape.Gateways, fmt.Sprintf("--limit.samples=%d", limit), "--limit.policy="+policy,
		"--no-gateway.first-samples") // all that it holds was pushed
	if err != nil {
		return err
	}
	defer s.stop()
	filled, err := s.load.Rounds(ctx, r.reports(r.c.some), 0)
	if err != nil {
		return err
	}
	full, err := s.server.RSS()
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	highest := procstat.Watch(s.server.PID(), 20*time.Millisecond, stop)
	over, err := s.load.Rounds(ctx, r.c.overload*r.reports(r.c.some), 0)
	close(stop)
	most := <-highest
	if err != nil {
		return err
	}
	got, err := s.scraper.Scrape(ctx)
	if err != nil {
		return err
	}
	if policy == "refuse" && got.Samples != filled.Samples+over.Samples {
		return fmt.Errorf("it accepted %d samples and gave %d to the scrape", filled.Samples+over.Samples, got.Samples)
	}
	if got.Samples > limit {
		return fmt.Errorf("it held %d samples, its limit is %d", got.Samples, limit)
	}
	name := fmt.Sprintf("--limit.policy=%s, %dx its limit pushed: ", policy, r.c.overload)
	refused := float64(over.Refused) / float64(over.Refused+over.Samples) * 100
	if policy == "newest" {
		r.goals.AtMost(name+"refused", refused, 0, " %")
	} else {
		r.goals.Note(name+"refused", refused, " %")
	}
	r.goals.Note(name+"RSS when full", float64(full>>20), " MB")
	r.goals.AtMost(name+"highest RSS, of that when full", float64(most)/float64(full), overloadGoal, "x")
	return nil
}
