package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// packing is how long a server takes at least to pack what has waited.
const packing = 3 * time.Second

// defaultSamples is for how many a hub has room unless it is told otherwise.
const defaultSamples = 4_000_000

// heldBy is a hub that keeps all it is pushed, on disk as well or not. It is this checkout's, unless of says whose.
func heldBy(key, name string, samples int, onDisk bool, of *workshop) peer {
	return peer{
		key: key, name: name, scrape: "/metrics?drain=1", keepsAll: true,
		start: func(ctx context.Context, p programs) (*server.Server, func(), error) {
			w := p.workshop
			if of != nil {
				w = of
			}
			samples := max(samples, defaultSamples) // a hub with room for few packs few at a time
			spec := w.hub(
				fmt.Sprintf("--limit.samples=%d", 2*samples), fmt.Sprintf("--scrape.max-samples=%d", 2*samples),
				fmt.Sprintf("--limit.series=%d", 2*samples), "--limit.table-bytes=8589934592",
			)
			args := spec.Args
			spec.Args = func(address, dir string) []string {
				if onDisk {
					return append(args(address, dir), "--storage.path="+dir)
				}
				return args(address, dir)
			}
			return only(server.Start(ctx, spec))
		},
	}
}

// queues are the servers that keep what nobody fetches. Each has room for all of it.
func queues(samples int) []peer {
	return []peer{
		heldBy("ours", nameOurs, samples, false, nil),
		heldBy("ours-on-disk", "likewise, with --storage.path", samples, true, nil),
		edgeHub(),
		{
			key: "vmagent", name: "vmagent 1.110.0, nobody answers it", path: func(int) string { return "/api/v1/import/prometheus" },
			start: func(ctx context.Context, p programs) (*server.Server, func(), error) {
				nobody, err := process.FreeAddress()
				if err != nil {
					return nil, nil, err
				}
				return only(server.Start(ctx, server.Spec{
					Name: "vmagent", Path: p.program(realbin.VMAgent), Ready: "/health",
					Args: func(address, dir string) []string {
						return []string{"-httpListenAddr=" + address, "-remoteWrite.url=http://" + nobody, "-remoteWrite.tmpDataPath=" + dir}
					},
				}))
			},
		},
	}
}

type outageCommand struct {
	only    []string
	ref     string
	servers int
	reports int
	every   time.Duration
	wait    time.Duration
}

func addOutage(app *kingpin.Application) (string, func(context.Context, options) error) {
	var keys []string
	for _, p := range queues(0) {
		keys = append(keys, p.key)
	}
	var c outageCommand
	cmd := app.Command("outage", "Measure what samples take that nobody fetches for long, in the hub and in other servers beside it, and what their scrape costs then.")
	cmd.Flag("only", "Only this one; repeatable. One of "+strings.Join(keys, ", ")+".").EnumsVar(&c.only, keys...)
	cmd.Flag("ref", "A revision whose hub is measured, too: a commit, branch or tag of the clone.").StringVar(&c.ref)
	cmd.Flag("servers", "How many of each are started, and scraped by turns; the figures are the medians.").Default("1").IntVar(&c.servers)
	cmd.Flag("reports", "How often the fleet reports.").Default("10").IntVar(&c.reports)
	cmd.Flag("every", "From one of these reports to the next.").Default("0s").DurationVar(&c.every)
	cmd.Flag("wait", "How long the outage goes on behind them; a hub packs what has waited for two minutes.").Default("125s").DurationVar(&c.wait)
	return cmd.FullCommand(), c.run
}

// sufferer is a server in an outage, and what it holds.
type sufferer struct {
	*trial
	held      int // samples
	rss, most int64
	disk      int64
}

func (c *outageCommand) run(ctx context.Context, o options) error {
	if c.servers < 1 {
		return fmt.Errorf("--servers=%d must be positive", c.servers)
	}
	o.setPerPush(1)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	samples := (c.reports + 1) * o.shape.Series()
	p := programs{workshop: w, options: o}
	selected := slices.DeleteFunc(queues(samples), func(p peer) bool { return len(c.only) > 0 && !slices.Contains(c.only, p.key) })
	if slices.ContainsFunc(selected, func(p peer) bool { return !strings.HasPrefix(p.key, "ours") }) {
		if p.program, err = w.peers(ctx); err != nil {
			return err
		}
	}
	if c.ref != "" {
		old, commit, err := w.at(ctx, c.ref)
		if err != nil {
			return err
		}
		selected = append(selected, heldBy("before", "edgehub "+commit, samples, false, old))
	}
	var all []*sufferer // of each peer one, and so again
	for i := range c.servers * len(selected) {
		peer := selected[i%len(selected)]
		s, stop, err := peer.start(ctx, p)
		if err != nil {
			return err
		}
		defer stop()
		t, err := newTrial(ctx, peer, s, o.shape, o.connections)
		if err != nil {
			return err
		}
		defer t.close()
		all = append(all, &sufferer{trial: t})
	}
	if err := c.suffer(ctx, all); err != nil {
		return err
	}
	fmt.Printf("%d gateways of %d series reported %d times, and then again after %s: %s samples that nobody fetched\n\n",
		o.shape.Gateways, o.shape.SeriesEach, c.reports, c.wait, report.Thousands(int64(samples)))
	var rows [][]string
	for i := range selected {
		var of []*sufferer
		for j := i; j < len(all); j += len(selected) {
			of = append(of, all[j])
		}
		rows = append(rows, row(of))
	}
	report.Table(os.Stdout, []string{"", "RSS, MiB", "highest", "a sample, B", "disk, MiB", "a sample, B", "scrape, CPU-s a M"}, rows)
	return nil
}

// row is what servers of one kind took.
func row(of []*sufferer) []string {
	figures := []func(*sufferer) float64{
		func(s *sufferer) float64 { return float64(s.rss) / (1 << 20) },
		func(s *sufferer) float64 { return float64(s.most) / (1 << 20) },
		func(s *sufferer) float64 { return float64(s.rss-s.idle) / float64(s.held) },
		func(s *sufferer) float64 { return float64(s.disk) / (1 << 20) },
		func(s *sufferer) float64 { return float64(s.disk) / float64(s.held) },
		func(s *sufferer) float64 { return s.cost.scrapePerM() },
	}
	cells := []string{of[0].peer.name}
	for i, figure := range figures {
		if scrape := len(figures) - 1; i == scrape && of[0].peer.scrape == "" {
			cells = append(cells, "")
			continue
		}
		var all []float64
		for _, s := range of {
			all = append(all, figure(s))
		}
		cells = append(cells, report.Spread(all))
	}
	return cells
}

// suffer has the fleet report to all, with one report more at the end: the push that has a hub pack the last of
// them. Then they are scraped.
func (c *outageCommand) suffer(ctx context.Context, all []*sufferer) error {
	for i := range c.reports + 1 {
		progress("report %d of %d", i+1, c.reports+1)
		pause := c.every
		switch i {
		case c.reports - 1:
			pause = c.wait
		case c.reports:
			pause = 0
		}
		for _, s := range all {
			if err := s.push(ctx, 1, 0); err != nil {
				return fmt.Errorf("%s: %w", s.peer.name, err)
			}
			s.held += s.trial.held
			s.load.Close() // the server may, where nobody uses them for long
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		for _, s := range all {
			if i == c.reports {
				if _, err := s.server.SettledCPU(ctx, packing); err != nil {
					return err
				}
			}
			if err := s.look(); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		progress("scraping %s", s.peer.name)
		s.trial.held = s.held
		if err := s.scrapeMore(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.peer.name, err)
		}
	}
	return nil
}

// look notes what the server takes now.
func (s *sufferer) look() (err error) {
	if s.rss, err = s.server.RSS(); err != nil {
		return err
	}
	s.most = max(s.most, s.rss)
	s.disk, err = s.server.Disk()
	return err
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
