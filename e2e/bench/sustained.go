package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// The goals of a sustained run.
const (
	hubShare    = 1.0 / 10 // of Prometheus' processor time, for the hub
	scrapeShare = 1.0 / 3  // of its timeout, for a scrape
)

type sustainedCommand struct {
	atMost      time.Duration
	rate        float64 // samples a minute
	parts       int
	interval    time.Duration
	timeout     time.Duration
	compression bool
	protocols   string // as in scrape_protocols; empty for Prometheus' default
	zstd        bool   // asked for before gzip
	draft       bool   // OpenMetrics 2.0 is read
	find        bool
	hubFlags    []string
}

func addSustained(app *kingpin.Application) (string, func(context.Context, options) error) {
	var c sustainedCommand
	cmd := app.Command("sustained", "One hub and one real Prometheus under a steady load: their processor time, the time of scrapes, and whether all arrived.")
	cmd.Flag("for", "How long to push.").Default("3m").DurationVar(&c.atMost)
	cmd.Flag("rate", "Samples a minute.").Default("25e6").Float64Var(&c.rate)
	cmd.Flag("parts", "Targets that Prometheus splits the scrape over; 1 is a plain scrape.").Default("10").IntVar(&c.parts)
	cmd.Flag("scrape-interval", "Prometheus' scrape_interval.").Default("15s").DurationVar(&c.interval)
	cmd.Flag("scrape-timeout", "Prometheus' scrape_timeout.").Default("15s").DurationVar(&c.timeout)
	cmd.Flag("enable-compression", "Prometheus' enable_compression.").BoolVar(&c.compression)
	cmd.Flag("scrape-protocols", "Prometheus' scrape_protocols, such as "+protobufFirst+". Default what it does by itself.").StringVar(&c.protocols)
	cmd.Flag("zstd", "Have Prometheus ask for zstd; with --enable-compression.").BoolVar(&c.zstd)
	cmd.Flag("find", "Raise the rate by a quarter at a time, from --rate on, until a goal is missed, and say the highest that held.").BoolVar(&c.find)
	cmd.Flag("hub-flag", "A flag for the hub; repeatable.").Default("--limit.samples=32000000", "--scrape.max-samples=8000000").StringsVar(&c.hubFlags)
	return cmd.FullCommand(), c.run
}

func (c *sustainedCommand) run(ctx context.Context, o options) error {
	o.setPerPush(10)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	programs, err := realbin.Dir(ctx, w.checkout, os.Stderr)
	if err != nil {
		return err
	}
	if c.find {
		return c.findHighest(ctx, o, w, programs)
	}
	goals := &report.Goals{Tolerance: o.tolerance}
	if err := c.hold(ctx, o, w, programs, goals); err != nil {
		return err
	}
	fmt.Println()
	return o.verdict(os.Stdout, goals)
}

// findHighest raises the rate by a quarter until a goal is missed.
func (c *sustainedCommand) findHighest(ctx context.Context, o options, w *workshop, programs string) error {
	var highest float64
	for step := *c; ; step.rate *= 1.25 {
		goals := &report.Goals{Tolerance: o.tolerance}
		err := step.hold(ctx, o, w, programs, goals)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			why, _, _ := strings.Cut(err.Error(), "\n") // without the logs
			progress("%.1f M samples/min: %s", step.rate/1e6, why)
		} else {
			fmt.Println()
			goals.Write(os.Stdout)
			fmt.Println()
		}
		if err != nil || goals.Missed() > 0 {
			break
		}
		highest = step.rate
	}
	if highest == 0 {
		return fmt.Errorf("the first rate, %.1f M samples/min, did not hold", c.rate/1e6)
	}
	fmt.Printf("the highest rate that held: %.1f M samples/min\n", highest/1e6)
	return nil
}

// hold runs a hub and a Prometheus at one rate.
func (c *sustainedCommand) hold(ctx context.Context, o options, w *workshop, programs string, goals *report.Goals) error {
	p, err := startPair(ctx, *c, o, w, programs)
	if err != nil {
		return err
	}
	defer p.stop()
	fmt.Printf("%s M samples/min of %s series for %s; scraped every %s in %d part(s), timeout %s, compression %v\n\n",
		report.Figure(c.rate/1e6), report.Thousands(int64(o.shape.Series())), c.atMost, c.interval, c.parts, c.timeout, c.compression)
	if err := p.run(ctx, goals); err != nil {
		return fmt.Errorf("%w; the hub's log ends:\n%s\nthat of Prometheus:\n%s", err, p.hub.Log(), p.prometheus.Log())
	}
	return nil
}
