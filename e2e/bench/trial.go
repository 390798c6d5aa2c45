package main

import (
	"context"
	"fmt"
	"time"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/report"
)

// cost is what a server's pushes and scrapes have cost.
type cost struct {
	pushed, scraped          int // samples
	pushCPU, scrapeCPU, wall time.Duration
	// perHeld is by how much the server's RSS had grown before the first scrape,
	// in bytes for each sample of that scrape.
	perHeld float64
}

func (c cost) pushPerM() float64   { return c.pushCPU.Seconds() / float64(c.pushed) * 1e6 }
func (c cost) scrapePerM() float64 { return c.scrapeCPU.Seconds() / float64(c.scraped) * 1e6 }
func (c cost) rate() float64       { return float64(c.pushed) / c.wall.Seconds() / 1e6 }

func (c cost) String() string {
	out := fmt.Sprintf("%.3f CPU-s a M of %s pushed", c.pushPerM(), report.Thousands(int64(c.pushed)))
	if c.scraped > 0 {
		out += fmt.Sprintf(", %.3f CPU-s a M of %s scraped", c.scrapePerM(), report.Thousands(int64(c.scraped)))
	}
	return out
}

// trial is one start of a server under load.
type trial struct {
	peer    peer
	server  *server.Server
	load    *load.Load
	scraper *load.Scraper
	idle    int64 // RSS before anything was pushed
	cost    cost
	held    int // accepted since the last scrape
	// firstBytes is how long each scrape took to begin, in milliseconds.
	firstBytes []float64
}

// newTrial prepares the load for a server that was started just now. The caller
// must close it.
func newTrial(ctx context.Context, p peer, s *server.Server, shape load.Shape, connections int) (*trial, error) {
	if _, err := s.SettledCPU(ctx, 0); err != nil {
		return nil, err
	}
	idle, err := s.RSS()
	if err != nil {
		return nil, err
	}
	shape.Path, shape.Unstamped = p.path, p.unstamped
	return &trial{
		peer: p, server: s, idle: idle,
		load: load.New(s.Address, shape, connections), scraper: load.NewScraper(s.URL(p.scrape)),
	}, nil
}

// close closes the connections. The server runs on.
func (r *trial) close() {
	r.load.Close()
	r.scraper.Close()
}

// warm has every series pushed once, which is not counted: what a server does at
// the first sight of a series is another matter.
func (r *trial) warm(ctx context.Context, atMost time.Duration) error {
	err := r.push(ctx, 1, atMost)
	if err == nil {
		err = r.scrapeMore(ctx)
	}
	r.cost, r.firstBytes = cost{}, nil
	return err
}

// push has the fleet report so often, or as often as there is time.
func (r *trial) push(ctx context.Context, reports int, atMost time.Duration) error {
	r.load.Prepare(reports)
	return r.pushed(ctx, func() (load.Result, error) { return r.load.Rounds(ctx, reports, atMost) })
}

// pushed measures what pushes, none of which may be refused, cost the server.
func (r *trial) pushed(ctx context.Context, pushes func() (load.Result, error)) error {
	before, err := r.server.CPU()
	if err != nil {
		return err
	}
	pushed, err := pushes()
	if err != nil {
		return err
	}
	if pushed.Refused > 0 {
		return fmt.Errorf("%d samples were refused: %s", pushed.Refused, pushed.Why)
	}
	after, err := r.server.SettledCPU(ctx, r.peer.behind)
	if err != nil {
		return err
	}
	r.cost.pushed += pushed.Samples
	r.cost.pushCPU += after - before
	r.cost.wall += pushed.Wall
	r.held = pushed.Samples
	return nil
}

// scrape measures what a scrape costs the server, and whether all is in it and nothing else.
func (r *trial) scrape(ctx context.Context) error {
	return r.scraped(ctx, func(samples int) bool { return samples == r.held })
}

// scrapeMore is scrape where a hub has more to say than was pushed: when a gateway came, or what its resource is.
func (r *trial) scrapeMore(ctx context.Context) error {
	return r.scraped(ctx, func(samples int) bool { return samples >= r.held })
}

// scraped measures what a scrape costs the server, and whether the right number of samples is in it.
func (r *trial) scraped(ctx context.Context, right func(samples int) bool) error {
	if r.peer.scrape == "" {
		return nil
	}
	rss, err := r.server.RSS()
	if err != nil {
		return err
	}
	before, err := r.server.CPU()
	if err != nil {
		return err
	}
	got, err := r.scraper.Scrape(ctx)
	if err != nil {
		return err
	}
	after, err := r.server.SettledCPU(ctx, 0)
	if err != nil {
		return err
	}
	if r.peer.keepsAll && !right(got.Samples) {
		return fmt.Errorf("it took %d samples and gave %d to the scrape", r.held, got.Samples)
	}
	r.firstBytes = append(r.firstBytes, got.FirstByte.Seconds()*1e3)
	r.cost.scraped += got.Samples
	r.cost.scrapeCPU += after - before
	if r.cost.perHeld == 0 {
		r.cost.perHeld = float64(rss-r.idle) / float64(got.Samples)
	}
	return nil
}
