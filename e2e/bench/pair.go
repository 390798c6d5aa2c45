package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/procstat"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// pair is a hub, the Prometheus that scrapes it and the fleet that pushes.
type pair struct {
	c          sustainedCommand
	shape      load.Shape
	hub        *server.Server
	prometheus *server.Server
	api        *promapi.Client
	load       *load.Load
}

// startPair starts the programs. The caller must stop them.
func startPair(ctx context.Context, c sustainedCommand, o options, w *workshop, programs string) (_ *pair, err error) {
	p := &pair{c: c, shape: o.shape}
	defer func() {
		if err != nil {
			p.stop()
		}
	}()
	if p.hub, err = server.Start(ctx, w.hub(c.hubFlags...)); err != nil {
		return nil, err
	}
	p.prometheus, err = server.Start(ctx, server.Spec{
		Name: "prometheus", Path: filepath.Join(programs, realbin.Prometheus), Ready: "/-/ready",
		Args: func(address, dir string) []string {
			args := []string{
				"--config.file=" + c.writeConfig(dir, p.hub.Address),
				"--storage.tsdb.path=" + filepath.Join(dir, "tsdb"), "--web.listen-address=" + address,
				"--scrape.discovery-reload-interval=200ms", // hidden: the first scrape at once
			}
			if c.zstd {
				args = append(args, "--enable-feature=zstd-scrape")
			}
			if c.draft {
				args = append(args, "--enable-feature=openmetrics2")
			}
			return args
		},
	})
	if err != nil {
		return nil, err
	}
	p.api = promapi.New(p.prometheus.Address)
	p.load = load.New(p.hub.Address, o.shape, o.connections)
	p.load.Track = true
	return p, nil
}

func (p *pair) stop() {
	if p.load != nil {
		p.load.Close()
	}
	for _, s := range []*server.Server{p.prometheus, p.hub} {
		if s != nil {
			s.Stop()
		}
	}
}

// writeConfig writes Prometheus' configuration and returns its path. What can't
// be written, Prometheus will miss.
func (c sustainedCommand) writeConfig(dir, hub string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "scrape_configs:\n")
	for part := range c.parts {
		fmt.Fprintf(&b, "  - job_name: edgehub-%d\n    honor_labels: true\n    enable_compression: %v\n", part+1, c.compression)
		fmt.Fprintf(&b, "    scrape_interval: %s\n    scrape_timeout: %s\n", c.interval, c.timeout)
		if c.protocols != "" {
			fmt.Fprintf(&b, "    scrape_protocols: %s\n", c.protocols)
		}
		if c.parts > 1 {
			fmt.Fprintf(&b, "    params: {part: [%q], parts: [%q]}\n", strconv.Itoa(part+1), strconv.Itoa(c.parts))
		}
		fmt.Fprintf(&b, "    static_configs: [{targets: [%q]}]\n", hub)
	}
	path := filepath.Join(dir, "prometheus.yml")
	_ = os.WriteFile(path, []byte(b.String()), 0o644)
	return path
}

// cpus is processor time.
type cpus struct{ hub, prometheus, loader time.Duration }

func (p *pair) cpus() (c cpus, err error) {
	var errs [3]error
	c.hub, errs[0] = p.hub.CPU()
	c.prometheus, errs[1] = p.prometheus.CPU()
	c.loader, errs[2] = procstat.CPU(os.Getpid())
	return c, errors.Join(errs[:]...)
}

func (c cpus) minus(o cpus) cpus {
	return cpus{c.hub - o.hub, c.prometheus - o.prometheus, c.loader - o.loader}
}

// run pushes, waits until the hub is empty, and looks for what was pushed.
func (p *pair) run(ctx context.Context, goals *report.Goals) error {
	begin, err := p.cpus()
	if err != nil {
		return err
	}
	start := time.Now()
	latencies, err := p.push(ctx, start, begin)
	if err != nil {
		return err
	}
	if len(latencies) == 0 {
		return errors.New("no push was due; raise --rate or --for")
	}
	if err := p.drain(ctx); err != nil {
		return err
	}
	end, err := p.cpus()
	if err != nil {
		return err
	}
	used := end.minus(begin)
	progress("the hub is empty; looking for every sample in Prometheus")
	longest, failed, err := p.scrapes(ctx, time.Since(start))
	if err != nil {
		return err
	}
	if err := p.account(ctx, start); err != nil {
		return err
	}
	millions := float64(p.load.Sent()) / 1e6
	fmt.Printf("\n%s samples accepted, each of them stored by Prometheus, once; a sample of series was compared point by point\n",
		report.Thousands(p.load.Sent()))
	fmt.Printf("CPU-s a M samples: hub %.3f, Prometheus %.3f, loader %.3f; a push took %.1f ms (p50), %.1f ms (p99)\n",
		used.hub.Seconds()/millions, used.prometheus.Seconds()/millions, used.loader.Seconds()/millions,
		report.Quantile(latencies, 0.5), report.Quantile(latencies, 0.99))
	goals.AtLeast("samples pushed", millions/p.c.atMost.Minutes(), 0.98*p.c.rate/1e6, " M/min")
	goals.AtMost("CPU of the hub, in that of Prometheus", used.hub.Seconds()/used.prometheus.Seconds(), hubShare, "")
	goals.AtMost("scrapes that failed", failed, 0, "")
	goals.AtMost("longest scrape", longest, p.c.timeout.Seconds()*scrapeShare, " s")
	return nil
}

// push pushes for the time of the run and prints a line every 15 s. It returns
// how long each push took, in milliseconds.
func (p *pair) push(ctx context.Context, start time.Time, used cpus) (latencies []float64, err error) {
	pushCtx, stop := context.WithTimeout(ctx, p.c.atMost)
	defer stop()
	done := make(chan error, 1)
	go func() {
		_, err := p.load.Pace(pushCtx, p.c.rate/60, func(l load.Latency) {
			latencies = append(latencies, float64(l.Took.Microseconds())/1000)
		})
		done <- err
	}()
	fmt.Println("   time   pushed/min   hub CPU  Prometheus  loader  hub RSS  longest scrape   failed     pending")
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	last, sent := start, int64(0)
	for {
		select {
		case err := <-done:
			if err == nil {
				err = ctx.Err() // stopped from outside
			}
			return latencies, err
		case now := <-tick.C:
			if used, err = p.line(ctx, start, last, now, sent, used); err != nil {
				return nil, err
			}
			last, sent = now, p.load.Sent()
		}
	}
}

// line prints what happened since last and returns the processor time so far.
func (p *pair) line(ctx context.Context, start, last, now time.Time, sent int64, used cpus) (cpus, error) {
	total, err := p.cpus()
	if err != nil {
		return used, err
	}
	window := now.Sub(last)
	c := total.minus(used)
	longest, failed, err := p.scrapes(ctx, window+p.c.interval)
	if err != nil {
		return used, err
	}
	pending, err := p.pending(ctx)
	if err != nil {
		return used, err
	}
	rss, err := p.hub.RSS()
	if err != nil {
		return used, err
	}
	percent := func(d time.Duration) float64 { return 100 * d.Seconds() / window.Seconds() }
	fmt.Printf("%6.0fs %12s %8.1f%% %10.1f%% %6.1f%% %5d MB %14.2fs %8.0f %11s\n", now.Sub(start).Seconds(),
		report.Thousands(int64(float64(p.load.Sent()-sent)/window.Minutes())),
		percent(c.hub), percent(c.prometheus), percent(c.loader), rss>>20, longest, failed, report.Thousands(int64(pending)))
	return total, nil
}

// jobs selects the hub's parts.
const jobs = `{job=~"edgehub-.*"}`

// scrapes asks Prometheus for its longest scrape in the time that has just
// passed, in seconds, and for how many failed.
func (p *pair) scrapes(ctx context.Context, in time.Duration) (longest, failed float64, err error) {
	window := fmt.Sprintf("[%ds]", int(math.Ceil(in.Seconds())))
	if longest, err = p.number(ctx, "max(max_over_time(scrape_duration_seconds"+jobs+window+"))"); err != nil {
		return 0, 0, err
	}
	failed, err = p.number(ctx, "sum(count_over_time(up"+jobs+window+") - sum_over_time(up"+jobs+window+"))")
	return longest, failed, err
}

// number evaluates a query for one number, which is 0 where there is nothing.
func (p *pair) number(ctx context.Context, query string) (float64, error) {
	v, err := p.api.Vector(ctx, query)
	if err != nil || len(v) == 0 {
		return 0, err
	}
	return float64(v[0].Value), nil
}

var pendingLine = regexp.MustCompile(`(?m)^edgehub_cursor_lag_samples(?:\{[^}]*\})? (\S+)$`)

// pending is what the hub says that its scraper, or the part of it furthest behind, has not
// got for sure.
func (p *pair) pending(ctx context.Context) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.hub.URL("/internal"), nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read the hub's metrics: %w", err)
	}
	matches := pendingLine.FindAllSubmatch(body, -1)
	if matches == nil {
		return 0, errors.New("the hub's metrics do not say how far its scraper is behind")
	}
	most := 0.0
	for _, match := range matches {
		lag, err := strconv.ParseFloat(string(match[1]), 64)
		if err != nil {
			return 0, fmt.Errorf("read the hub's metrics: %w", err)
		}
		most = max(most, lag)
	}
	return most, nil
}

// drain waits until the hub has handed over all it had.
func (p *pair) drain(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*(p.c.interval+p.c.timeout))
	defer cancel()
	return process.Until(ctx, func() error {
		pending, err := p.pending(ctx)
		if err == nil && pending > 0 {
			err = fmt.Errorf("%.0f samples still wait in the hub", pending)
		}
		return err
	})
}

// account compares what Prometheus has stored since the start with what the hub
// accepted: the count of all, and the points of some.
func (p *pair) account(ctx context.Context, start time.Time) error {
	window := func() string { return fmt.Sprintf("[%ds]", int(time.Since(start).Seconds())+5) }
	var stored int64
	for _, name := range p.shape.Families() {
		v, err := p.number(ctx, "sum(count_over_time("+name+window()+"))")
		if err != nil {
			return err
		}
		stored += int64(v)
	}
	if sent := p.load.Sent(); stored != sent {
		return fmt.Errorf("the hub accepted %d samples, Prometheus stored %d", sent, stored)
	}
	for _, track := range p.load.Tracks() {
		m, err := p.api.Matrix(ctx, track.Series+window())
		if err != nil {
			return err
		}
		if len(m) != 1 {
			return fmt.Errorf("%s was pushed as one series, Prometheus has %d", track.Series, len(m))
		}
		if err := compare(track, m[0].Values); err != nil {
			return err
		}
	}
	return nil
}

// compare compares what was pushed of a series with what is stored.
func compare(pushed load.Track, stored []model.SamplePair) error {
	if len(stored) != len(pushed.Points) {
		return fmt.Errorf("%s was pushed with %d points, Prometheus has %d", pushed.Series, len(pushed.Points), len(stored))
	}
	for i, s := range stored {
		if p := pushed.Points[i]; int64(s.Timestamp) != p.Time || float64(s.Value) != p.Value {
			return fmt.Errorf("%s was pushed with %v at %d, Prometheus has %v at %d",
				pushed.Series, p.Value, p.Time, s.Value, int64(s.Timestamp))
		}
	}
	return nil
}
