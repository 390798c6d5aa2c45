package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/internal/report"
	"github.com/hubring/hubring/e2e/internal/stack"
)

const (
	// before is the hub while it was one package and knew no receipts.
	before = "6fc7cb9"
	// beforeGoal is what a figure may be, of the one before.
	beforeGoal = 1.05
)

type beforeCommand struct {
	ref     string
	rounds  int
	pending []int
	atLeast time.Duration
}

func addBefore(app *kingpin.Application) (string, func(context.Context, options) error) {
	var c beforeCommand
	cmd := app.Command("before", "Measure the hub beside one that is built from another revision: pushes, scrapes and memory, by turns.")
	cmd.Flag("ref", "The other revision: a commit, branch or tag of the clone.").Default(before).StringVar(&c.ref)
	cmd.Flag("rounds", "How often both are started and measured.").Default("7").IntVar(&c.rounds)
	cmd.Flag("pending", "Samples that wait at each scrape, about; repeatable.").Default("420000").IntsVar(&c.pending)
	cmd.Flag("for", "How long each is loaded, in each round.").Default("8s").DurationVar(&c.atLeast)
	return cmd.FullCommand(), c.run
}

func (c *beforeCommand) run(ctx context.Context, o options) error {
	if c.rounds < 1 || slices.Min(c.pending) < 1 {
		return fmt.Errorf("--rounds=%d and --pending=%d must be positive", c.rounds, slices.Min(c.pending))
	}
	o.setPerPush(1)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	now, err := git(ctx, w.checkout, "describe", "--always", "--dirty", "--exclude=*")
	if err != nil {
		return err
	}
	old, commit, err := w.at(ctx, c.ref)
	if err != nil {
		return err
	}
	goals := &report.Goals{Tolerance: o.tolerance}
	var rows [][]string
	for _, pending := range c.pending {
		d := c.newDuel(o, pending, old, w)
		order := slices.Clone(d[:])
		for round := range c.rounds {
			progress("round %d of %d, %s samples pending", round+1, c.rounds, d.pending())
			if err := d.round(ctx, order); err != nil {
				return err
			}
			slices.Reverse(order)
		}
		rows = append(rows, d.compare(goals)...)
	}
	fmt.Printf("this tree (%s) beside %s: %d gateways of %d series, %d a push, %d connections; each started %d times: median (least-most), the ratio being that of each round\n\n",
		now, commit, o.shape.Gateways, o.shape.SeriesEach, o.shape.PerPush, o.connections, c.rounds)
	report.Table(os.Stdout, []string{"", "before", "now", "now of before"}, rows)
	fmt.Println()
	return o.verdict(os.Stdout, goals)
}

// at returns a workshop whose hub is built from another revision, in the folder of
// this one, and the revision's short name.
func (w *workshop) at(ctx context.Context, ref string) (*workshop, string, error) {
	commit, err := git(ctx, w.checkout, "rev-parse", "--verify", "--short", "--end-of-options", ref+"^{commit}")
	if err != nil {
		return nil, "", fmt.Errorf("%w: %q is no revision of this clone; one that is shallow gets the others by git fetch --unshallow", err, ref)
	}
	progress("building edgehub of %s", commit)
	source, archive := filepath.Join(w.dir, "before", "source"), filepath.Join(w.dir, "before.tar")
	if err := os.MkdirAll(source, 0o755); err != nil {
		return nil, "", fmt.Errorf("make a folder for %s: %w", commit, err)
	}
	if _, err := git(ctx, w.checkout, "archive", "--output="+archive, commit); err != nil {
		return nil, "", err
	}
	if _, err := output(ctx, source, "tar", "-xf", archive); err != nil {
		return nil, "", err
	}
	old := *w
	if old.edgehub, err = stack.BuildHub(ctx, source, filepath.Dir(source), false); err != nil {
		return nil, "", fmt.Errorf("of %s: %w", commit, err)
	}
	return &old, commit, nil
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	return output(ctx, dir, "git", args...)
}

// output is what a program prints, in one line.
func output(ctx context.Context, dir, program string, args ...string) (string, error) {
	var said strings.Builder
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Stderr = dir, &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s in %s: %w: %s", program, args[0], dir, err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

// duel is two hubs at one number of pending samples: the one before and that of now.
type duel [2]*side

// side is one of them. Its figures are those of each round.
type side struct {
	*hubRun
	name         string
	subject      *subject     // of the round
	push, scrape []float64    // CPU-s a M
	memory       [2][]float64 // bytes of RSS a sample, by samplesEach
}

// samplesEach is how many samples a series has while memory is measured: where it is
// ten they take most of it, where it is one the series do.
var samplesEach = [2]int{10, 1}

func (c *beforeCommand) newDuel(o options, pending int, old, now *workshop) duel {
	sideOf := func(name string, w *workshop) *side {
		sizes := hubCommand{some: pending, many: pending, atLeast: c.atLeast}
		return &side{name: name, hubRun: &hubRun{c: sizes, options: o, workshop: w}}
	}
	return duel{sideOf("before", old), sideOf("now", now)}
}

// pending is how many samples wait at a scrape: whole reports of the fleet.
func (d duel) pending() string {
	return report.Thousands(int64(d[0].reports(d[0].c.some) * d[0].options.shape.Series()))
}

// round measures both hubs once, in the given order.
func (d duel) round(ctx context.Context, order []*side) error {
	if err := turns(ctx, order); err != nil {
		return err
	}
	for i, each := range samplesEach {
		for _, s := range order {
			perSample, _, err := s.perSample(ctx, s.c.some, each)
			if err != nil {
				return fmt.Errorf("measure the memory of the hub %s: %w", s.name, err)
			}
			s.memory[i] = append(s.memory[i], perSample)
		}
	}
	for _, s := range d {
		last := len(s.push) - 1
		progress("  %-6s push %.3f, scrape %.3f CPU-s a M; RSS a sample %.1f B where a series has %d, %.1f B where it has %d",
			s.name, s.push[last], s.scrape[last], s.memory[0][last], samplesEach[0], s.memory[1][last], samplesEach[1])
	}
	return nil
}

// turns starts the hubs and loads them by turns, each with a push and a scrape, so
// that what else the machine does meets both.
func turns(ctx context.Context, order []*side) (err error) {
	for _, s := range order {
		if s.subject, err = s.start(ctx, s.options.shape.Gateways); err != nil {
			return fmt.Errorf("start the hub %s: %w", s.name, err)
		}
		defer s.subject.stop()
		if err := s.subject.warm(ctx, 0); err != nil {
			return s.failed(err)
		}
	}
	atLeast := time.Duration(len(order)) * order[0].c.atLeast
	for start := time.Now(); time.Since(start) < atLeast; {
		for _, s := range order {
			err := s.subject.push(ctx, s.reports(s.c.some), 0)
			if err == nil {
				err = s.subject.scrape(ctx)
			}
			if err != nil {
				return s.failed(err)
			}
		}
	}
	for _, s := range order {
		s.push = append(s.push, s.subject.cost.pushPerM())
		s.scrape = append(s.scrape, s.subject.cost.scrapePerM())
	}
	return nil
}

func (s *side) failed(err error) error {
	return fmt.Errorf("measure the hub %s: %w; its log ends:\n%s", s.name, err, s.subject.server.Log())
}

// compare notes the goals and returns the lines of the table.
func (d duel) compare(goals *report.Goals) (rows [][]string) {
	line := func(what, unit string, of func(*side) []float64) {
		old, now := of(d[0]), of(d[1])
		var ratios []float64
		for round := range old {
			ratios = append(ratios, now[round]/old[round])
		}
		rows = append(rows, []string{what + ", " + unit, report.Spread(old), report.Spread(now), report.Spread(ratios)})
		goals.AtMost(what+", of before", report.Median(ratios), beforeGoal, "x")
	}
	pending := d.pending() + " pending"
	line("push, "+pending, "CPU-s a M", func(s *side) []float64 { return s.push })
	line("scrape, "+pending, "CPU-s a M", func(s *side) []float64 { return s.scrape })
	for i, each := range samplesEach {
		pending := report.Thousands(int64(each * d[0].gateways(d[0].c.some, each) * d[0].options.shape.SeriesEach))
		line(fmt.Sprintf("RSS a sample, %s pending, %d a series", pending, each), "B", func(s *side) []float64 { return s.memory[i] })
	}
	return rows
}
