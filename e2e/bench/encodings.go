package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// encoding is a format and how it is compressed.
type encoding struct {
	name      string
	protocols string // as in scrape_protocols
	compress  bool
	zstd      bool
	draft     bool // OpenMetrics 2.0, which both ends have behind a flag
}

const (
	protobufFirst    = "[PrometheusProto, PrometheusText1.0.0, PrometheusText0.0.4]"
	onlyText         = "[PrometheusText1.0.0, PrometheusText0.0.4]"
	onlyOpenMetrics  = "[OpenMetricsText1.0.0]"
	onlyOpenMetrics2 = "[OpenMetricsText2.0.0]"
)

var encodings = []encoding{
	{name: "text", protocols: onlyText},
	{name: "text, gzip", protocols: onlyText, compress: true},
	{name: "text, zstd", protocols: onlyText, compress: true, zstd: true},
	{name: "OpenMetrics", protocols: onlyOpenMetrics},
	{name: "OpenMetrics, gzip", protocols: onlyOpenMetrics, compress: true},
	{name: "OpenMetrics 2.0", protocols: onlyOpenMetrics2, draft: true},
	{name: "protobuf", protocols: protobufFirst},
	{name: "protobuf, gzip", protocols: protobufFirst, compress: true},
	{name: "protobuf, zstd", protocols: protobufFirst, compress: true, zstd: true},
}

type encodingsCommand struct {
	names    []string
	points   []int
	atMost   time.Duration
	interval time.Duration
	rounds   int
}

func addEncodings(app *kingpin.Application) (string, func(context.Context, options) error) {
	var names []string
	for _, e := range encodings {
		names = append(names, e.name)
	}
	var c encodingsCommand
	cmd := app.Command("encodings", "What a sample costs the hub and a real Prometheus by each format and compression: pushed, scraped and stored.")
	cmd.Flag("encoding", "Only this one; repeatable. One of "+strings.Join(names, "; ")+".").EnumsVar(&c.names, names...)
	cmd.Flag("points", "Samples of a series in a scrape; repeatable.").Default("1", "4", "10").IntsVar(&c.points)
	cmd.Flag("for", "How long each is measured.").Default("30s").DurationVar(&c.atMost)
	cmd.Flag("scrape-interval", "Prometheus' scrape_interval and scrape_timeout.").Default("5s").DurationVar(&c.interval)
	cmd.Flag("rounds", "How often each is measured, by turns.").Default("2").IntVar(&c.rounds)
	return cmd.FullCommand(), c.run
}

func (c *encodingsCommand) run(ctx context.Context, o options) error {
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
	for _, points := range c.points {
		var lines [][]string
		figures := map[string][][]float64{} // hub, Prometheus and both
		for range c.rounds {
			for _, e := range encodings {
				if len(c.names) > 0 && !slices.Contains(c.names, e.name) {
					continue
				}
				progress("measuring: %s, %d a series", e.name, points)
				hub, prometheus, err := c.measure(ctx, o, w, programs, e, points)
				if err != nil {
					return fmt.Errorf("measure %s: %w", e.name, err)
				}
				if figures[e.name] == nil {
					figures[e.name] = make([][]float64, 3)
				}
				for i, f := range []float64{hub, prometheus, hub + prometheus} {
					figures[e.name][i] = append(figures[e.name][i], f)
				}
			}
		}
		first := 0.0
		for _, e := range encodings {
			if figures[e.name] == nil {
				continue
			}
			line := []string{e.name}
			for _, f := range figures[e.name] {
				line = append(line, report.Spread(f))
			}
			both := report.Median(figures[e.name][2])
			if first == 0 {
				first = both
			}
			lines = append(lines, append(line, report.Figure(both/first)+"x"))
		}
		fmt.Printf("\n%s series, %d samples of each in a scrape; CPU-s a M samples\n\n", report.Thousands(int64(o.shape.Series())), points)
		report.Table(os.Stdout, []string{"", "hub, push and scrape", "Prometheus", "both", "of the first"}, lines)
	}
	return nil
}

// measure runs a hub and a Prometheus, and returns what a million samples cost each, when
// they know the series.
func (c *encodingsCommand) measure(ctx context.Context, o options, w *workshop, programs string, e encoding, points int) (hub, prometheus float64, err error) {
	flags := []string{"--limit.samples=32000000", "--scrape.max-samples=8000000"}
	if e.draft {
		flags = append(flags, "--scrape.openmetrics2")
	}
	p, err := startPair(ctx, sustainedCommand{
		parts: 1, interval: c.interval, timeout: c.interval, compression: e.compress, protocols: e.protocols, zstd: e.zstd, draft: e.draft,
		hubFlags: flags,
	}, o, w, programs)
	if err != nil {
		return 0, 0, err
	}
	defer p.stop()
	rate := float64(o.shape.Series()*points) / c.interval.Seconds()
	start := time.Now()
	if err := p.pace(ctx, rate, 2*c.interval); err != nil {
		return 0, 0, err
	}
	sent := p.load.Sent()
	begin, err := p.cpus()
	if err != nil {
		return 0, 0, err
	}
	if err := p.pace(ctx, rate, c.atMost); err != nil {
		return 0, 0, err
	}
	end, err := p.cpus()
	if err != nil {
		return 0, 0, err
	}
	if err := p.account(ctx, start); err != nil {
		return 0, 0, err
	}
	millions := float64(p.load.Sent()-sent) / 1e6
	used := end.minus(begin)
	return used.hub.Seconds() / millions, used.prometheus.Seconds() / millions, nil
}

// pace pushes for some time at a rate, and waits until all is stored.
func (p *pair) pace(ctx context.Context, rate float64, atMost time.Duration) error {
	pushing, stop := context.WithTimeout(ctx, atMost)
	defer stop()
	if _, err := p.load.Pace(pushing, rate, nil); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return p.drain(ctx)
}
