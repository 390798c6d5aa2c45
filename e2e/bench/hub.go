package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/report"
)

// The goals of a hub by itself.
const (
	pushGoal      = 0.20 // CPU-s a M samples
	freshGoal     = 5    // times the cost of a known series
	scrapeGoal    = 0.12 // CPU-s a M samples
	flatGoal      = 1.5  // the dearest size, of the cheapest
	firstByteGoal = 50   // ms
	latencyGoal   = 3    // p99 during a scrape, of that without
	memoryGoal    = 56   // bytes of RSS a pending sample, at 10 a series
	overloadGoal  = 2    // RSS under overload, of that of a full hub
)

type hubCommand struct {
	phases   []string
	few      int // samples pending
	some     int
	many     int
	atLeast  time.Duration
	scrapes  int // that pushes are measured beside
	overload int // times the limit
}

// phase is one part of the command, on hubs of its own.
type phase struct {
	name string
	run  func(*hubRun, context.Context) error
}

var phases = []phase{
	{"ingest", (*hubRun).ingest},
	{"sizes", (*hubRun).sizes},
	{"latency", (*hubRun).latency},
	{"memory", (*hubRun).memory},
	{"overload", (*hubRun).overload},
}

func addHub(app *kingpin.Application) (string, func(context.Context, options) error) {
	var names []string
	for _, p := range phases {
		names = append(names, p.name)
	}
	var c hubCommand
	cmd := app.Command("hub", "Measure the hub by itself: known and new series, few and many samples pending, pushes during a scrape, memory, overload.")
	cmd.Flag("phase", "Only this part; repeatable. One of "+strings.Join(names, ", ")+".").EnumsVar(&c.phases, names...)
	cmd.Flag("few", "The least number of samples pending, about.").Default("35000").IntVar(&c.few)
	cmd.Flag("pending", "The usual number of samples pending, about.").Default("420000").IntVar(&c.some)
	cmd.Flag("many", "The largest number of samples pending, about.").Default("4000000").IntVar(&c.many)
	cmd.Flag("for", "How long each figure is measured, at least.").Default("5s").DurationVar(&c.atLeast)
	cmd.Flag("scrapes", "Scrapes during which the latency of pushes is measured.").Default("60").IntVar(&c.scrapes)
	cmd.Flag("overload", "What is pushed to a full hub, in times of its limit.").Default("100").IntVar(&c.overload)
	return cmd.FullCommand(), c.run
}

func (c *hubCommand) run(ctx context.Context, o options) error {
	o.setPerPush(1)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	r := &hubRun{c: *c, options: o, workshop: w, goals: &report.Goals{Tolerance: o.tolerance}}
	for _, p := range phases {
		if len(c.phases) > 0 && !slices.Contains(c.phases, p.name) {
			continue
		}
		progress("measuring: %s", p.name)
		if err := p.run(r, ctx); err != nil {
			return fmt.Errorf("measure %s: %w", p.name, err)
		}
	}
	fmt.Printf("%d gateways of %d series, %d a push, %d connections\n\n", o.shape.Gateways, o.shape.SeriesEach, o.shape.PerPush, o.connections)
	return o.verdict(os.Stdout, r.goals)
}

// hubRun is one run of the command.
type hubRun struct {
	c        hubCommand
	options  options
	workshop *workshop
	goals    *report.Goals
}

// start starts a hub, with room for all that is measured unless flags say
// otherwise, for a fleet of so many gateways. The caller must stop it.
func (r *hubRun) start(ctx context.Context, gateways int, flags ...string) (*subject, error) {
	if len(flags) == 0 {
		flags = []string{
			fmt.Sprintf("--limit.samples=%d", 2*r.c.many), fmt.Sprintf("--scrape.max-samples=%d", 2*r.c.many),
			fmt.Sprintf("--limit.series=%d", 2*r.c.many), "--limit.table-bytes=8589934592",
		}
	}
	s, err := server.Start(ctx, r.workshop.hub(flags...))
	if err != nil {
		return nil, err
	}
	shape := r.options.shape
	shape.Gateways = gateways
	t, err := newTrial(ctx, peer{scrape: "/metrics?drain=1", keepsAll: true}, s, shape, r.options.connections)
	if err != nil {
		s.Stop()
		return nil, err
	}
	return &subject{t}, nil
}

// subject is a hub and what loads it.
type subject struct{ *trial }

func (s *subject) stop() {
	s.close()
	s.server.Stop()
}

// gateways returns how many report about so many samples, each so often.
func (r *hubRun) gateways(samples, each int) int {
	return max(r.options.connections*r.options.shape.PerPush, samples/(each*r.options.shape.SeriesEach))
}

// reports is how often the fleet reports so many samples, about.
func (r *hubRun) reports(samples int) int {
	series := r.options.shape.Series()
	return max(1, (samples+series/2)/series)
}

// repeat repeats a push and a scrape for the time of a figure.
func (r *hubRun) repeat(ctx context.Context, push func() error, scrape func(context.Context) error) error {
	for start := time.Now(); time.Since(start) < r.c.atLeast; {
		if err := push(); err != nil {
			return err
		}
		if err := scrape(ctx); err != nil {
			return err
		}
	}
	return nil
}

// ingest compares pushes of series that the hub knows with those of series that
// it never saw.
func (r *hubRun) ingest(ctx context.Context) error {
	s, err := r.start(ctx, r.options.shape.Gateways)
	if err != nil {
		return err
	}
	defer s.stop()
	known, err := r.known(ctx, s)
	if err != nil {
		return err
	}
	s.cost = cost{}
	err = r.repeat(ctx, func() error {
		return s.pushed(ctx, func() (load.Result, error) { return s.load.Fresh(ctx, r.options.shape.Series()) })
	}, s.scrapeMore)
	if err != nil {
		return err
	}
	fresh := s.cost.pushPerM()
	r.goals.AtMost("push of known series", known.pushPerM(), pushGoal, " CPU-s a M")
	r.goals.Note("push of known series, wall clock", known.rate(), " M/s")
	r.goals.Note("push of series never seen", fresh, " CPU-s a M")
	r.goals.AtMost("push of series never seen, of known", fresh/known.pushPerM(), freshGoal, "x")
	return nil
}

// known measures pushes and scrapes of series that the hub knows.
func (r *hubRun) known(ctx context.Context, s *subject) (cost, error) {
	if err := s.warm(ctx, 0); err != nil {
		return cost{}, err
	}
	err := r.repeat(ctx, func() error { return s.push(ctx, r.reports(r.c.some), 0) }, s.scrape)
	return s.cost, err
}

// sizes measures whether a sample costs the same with few and with many of them,
// at ten samples a series: a larger fleet, scraped as often.
func (r *hubRun) sizes(ctx context.Context) error {
	var push, scrape []float64
	const reports = 10
	for i, samples := range []int{r.c.few, r.c.some, r.c.many} {
		gateways := r.gateways(samples, reports)
		s, err := r.start(ctx, gateways)
		if err != nil {
			return err
		}
		err = r.size(ctx, s, reports)
		s.stop()
		if err != nil {
			return err
		}
		push, scrape = append(push, s.cost.pushPerM()), append(scrape, s.cost.scrapePerM())
		pending := report.Thousands(int64(gateways * r.options.shape.SeriesEach * reports))
		r.goals.AtMost("push, "+pending+" pending", s.cost.pushPerM(), pushGoal, " CPU-s a M")
		r.goals.AtMost("scrape, "+pending+" pending", s.cost.scrapePerM(), scrapeGoal, " CPU-s a M")
		if i == 1 {
			r.goals.AtMost("first byte of that scrape", report.Median(s.firstBytes), firstByteGoal, " ms")
		} else {
			r.goals.Note("first byte of that scrape", report.Median(s.firstBytes), " ms")
		}
	}
	r.goals.AtMost("push, dearest size of cheapest", report.Quantile(push, 1)/report.Quantile(push, 0), flatGoal, "x")
	r.goals.AtMost("scrape, dearest size of cheapest", report.Quantile(scrape, 1)/report.Quantile(scrape, 0), flatGoal, "x")
	return nil
}

func (r *hubRun) size(ctx context.Context, s *subject, reports int) error {
	if err := s.warm(ctx, 0); err != nil {
		return err
	}
	return r.repeat(ctx, func() error { return s.push(ctx, reports, 0) }, s.scrape)
}

// memory measures what a pending sample takes, of series that have one and of
// series that have ten.
func (r *hubRun) memory(ctx context.Context) error {
	for _, samples := range []int{r.c.some, r.c.many} {
		for _, each := range []int{1, 10} {
			perSample, pending, err := r.perSample(ctx, samples, each)
			if err != nil {
				return err
			}
			what := fmt.Sprintf("RSS a sample, %s pending, %d a series", report.Thousands(int64(pending)), each)
			if each == 10 {
				r.goals.AtMost(what, perSample, memoryGoal, " B")
			} else {
				r.goals.Note(what, perSample, " B")
			}
		}
	}
	return nil
}

// perSample fills a new hub and returns by how many bytes a sample it has grown.
func (r *hubRun) perSample(ctx context.Context, samples, each int) (bytes float64, pending int, err error) {
	s, err := r.start(ctx, r.gateways(samples, each))
	if err != nil {
		return 0, 0, err
	}
	defer s.stop()
	if err := s.push(ctx, each, 0); err != nil {
		return 0, 0, err
	}
	rss, err := s.server.RSS()
	return float64(rss-s.idle) / float64(s.held), s.held, err
}
