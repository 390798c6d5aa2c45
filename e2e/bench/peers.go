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
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// The peers' names, as they stand in the table.
const (
	nameOurs        = "edgehub (this checkout)"
	nameEdgeHub     = "prometheus-edge-hub 1.1.0"
	nameUnchecked   = "Pushgateway 1.11.3, unchecked"
	namePushgateway = "Pushgateway 1.11.3"
	nameVictoria    = "VictoriaMetrics 1.110.0"
	nameVMAgent     = "vmagent 1.110.0, to a sink"
	nameCeiling     = "net/http that only reads"
)

// peer is one kind of server and how to push to it.
type peer struct {
	key   string // for --only
	name  string
	start func(ctx context.Context, p programs) (*server.Server, func(), error)

	path      func(push int) string // default /metrics
	unstamped bool                  // refuses timestamps or drops what has one
	scrape    string                // path; empty: it is not scraped
	keepsAll  bool                  // each sample is scraped, once
	behind    time.Duration         // how long it works on after it has answered
}

// programs are what peers are started from.
type programs struct {
	*workshop
	options options
	pending int // samples at a scrape
	program func(name string) string
}

func peers(pending int) []peer {
	pushgateway := func(flags ...string) func(context.Context, programs) (*server.Server, func(), error) {
		return alone(realbin.Pushgateway, "/-/ready", func(address, _ string) []string {
			return append([]string{"--web.listen-address=" + address}, flags...)
		})
	}
	group := func(push int) string { return fmt.Sprintf("/metrics/job/fleet/group/%d", push) }
	imports := func(int) string { return "/api/v1/import/prometheus" }
	return []peer{
		{
			key: "ours", name: nameOurs, scrape: "/metrics?drain=1", keepsAll: true,
			start: func(ctx context.Context, p programs) (*server.Server, func(), error) {
				return only(server.Start(ctx, p.hub()))
			},
		},
		edgeHub(),
		{
			key: "pushgateway-unchecked", name: nameUnchecked, scrape: "/metrics", path: group, unstamped: true,
			start: pushgateway("--push.disable-consistency-check"),
		},
		{
			key: "pushgateway", name: namePushgateway, scrape: "/metrics", path: group, unstamped: true,
			start: pushgateway(),
		},
		{
			key: "victoriametrics", name: nameVictoria, path: imports, behind: 6 * time.Second,
			start: alone(realbin.VictoriaMetrics, "/health", func(address, dir string) []string {
				return []string{"-httpListenAddr=" + address, "-storageDataPath=" + dir}
			}),
		},
		{key: "vmagent", name: nameVMAgent, path: imports, behind: 3 * time.Second, start: startVMAgent},
		{
			key: "ceiling", name: nameCeiling, scrape: fmt.Sprintf("/metrics?samples=%d", pending),
			start: func(ctx context.Context, p programs) (*server.Server, func(), error) {
				return only(server.Start(ctx, p.serve("serve-ceiling")))
			},
		},
	}
}

// edgeHub is a prometheus-edge-hub that has more arguments.
func edgeHub(args ...string) peer {
	return peer{
		key: "edge-hub", name: nameEdgeHub, scrape: "/metrics", keepsAll: true,
		start: alone(realbin.PrometheusEdgeHub, "/", func(address, _ string) []string {
			return append([]string{"-port=" + address[strings.LastIndexByte(address, ':')+1:]}, args...)
		}),
	}
}

// alone starts a program that needs no other.
func alone(program, ready string, args func(address, dir string) []string) func(context.Context, programs) (*server.Server, func(), error) {
	return func(ctx context.Context, p programs) (*server.Server, func(), error) {
		return only(server.Start(ctx, server.Spec{Name: program, Path: p.program(program), Args: args, Ready: ready}))
	}
}

func only(s *server.Server, err error) (*server.Server, func(), error) {
	if err != nil {
		return nil, nil, err
	}
	return s, s.Stop, nil
}

// serve says how to start one of this program's own servers.
func (p programs) serve(command string) server.Spec {
	return server.Spec{
		Name: command, Path: p.self, Ready: "/-/ready",
		Args: func(address, _ string) []string {
			return []string{
				command, "--address=" + address,
				fmt.Sprintf("--gateways=%d", p.options.shape.Gateways), fmt.Sprintf("--series=%d", p.options.shape.SeriesEach),
				fmt.Sprintf("--gateways-per-push=%d", p.options.shape.PerPush), fmt.Sprintf("--connections=%d", p.options.connections),
			}
		},
	}
}

func startVMAgent(ctx context.Context, p programs) (*server.Server, func(), error) {
	sink, err := server.Start(ctx, p.serve("serve-sink"))
	if err != nil {
		return nil, nil, err
	}
	agent, err := server.Start(ctx, server.Spec{
		Name: "vmagent", Path: p.program(realbin.VMAgent), Ready: "/health",
		Args: func(address, dir string) []string {
			return []string{
				"-httpListenAddr=" + address, "-remoteWrite.url=" + sink.URL("/api/v1/write"), "-remoteWrite.tmpDataPath=" + dir,
			}
		},
	})
	if err != nil {
		sink.Stop()
		return nil, nil, err
	}
	return agent, func() { agent.Stop(); sink.Stop() }, nil
}

type peersCommand struct {
	only    []string
	rounds  int
	pending int
	atMost  time.Duration
}

func addPeers(app *kingpin.Application) (string, func(context.Context, options) error) {
	var keys []string
	for _, p := range peers(0) {
		keys = append(keys, p.key)
	}
	var c peersCommand
	cmd := app.Command("peers", "Measure the hub beside other servers that take pushes: the same load on one after the other.")
	cmd.Flag("only", "Only this one; repeatable. One of "+strings.Join(keys, ", ")+".").EnumsVar(&c.only, keys...)
	cmd.Flag("rounds", "How often each is started and measured.").Default("2").IntVar(&c.rounds)
	cmd.Flag("pending", "Samples that wait at each scrape, about: whole reports of the fleet.").Default("420000").IntVar(&c.pending)
	cmd.Flag("for", "How long to load each, each time.").Default("8s").DurationVar(&c.atMost)
	return cmd.FullCommand(), c.run
}

func (c *peersCommand) run(ctx context.Context, o options) error {
	o.setPerPush(1)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	p := programs{workshop: w, options: o, pending: c.reports(o.shape) * o.shape.Series()}
	selected := slices.DeleteFunc(peers(p.pending), func(p peer) bool {
		return len(c.only) > 0 && !slices.Contains(c.only, p.key)
	})
	if slices.ContainsFunc(selected, func(p peer) bool { return p.key != "ours" && p.key != "ceiling" }) {
		if p.program, err = w.peers(ctx); err != nil {
			return err
		}
	}
	costs := map[string][]cost{}
	for round := range c.rounds {
		for _, peer := range selected {
			cost, err := c.measure(ctx, p, peer)
			if err != nil {
				return fmt.Errorf("measure %s: %w", peer.name, err)
			}
			progress("round %d of %d, %s: %s", round+1, c.rounds, peer.name, cost)
			costs[peer.name] = append(costs[peer.name], cost)
		}
	}
	c.print(o, selected, costs)
	goals := &report.Goals{Tolerance: o.tolerance}
	peerGoals(goals, costs)
	fmt.Println()
	return o.verdict(os.Stdout, goals)
}

// reports is how often the fleet reports between two scrapes.
func (c *peersCommand) reports(s load.Shape) int {
	return max(1, (c.pending+s.Series()/2)/s.Series())
}

// measure starts a peer and loads it: reports, a scrape, reports, a scrape.
func (c *peersCommand) measure(ctx context.Context, p programs, peer peer) (cost, error) {
	s, stop, err := peer.start(ctx, p)
	if err != nil {
		return cost{}, err
	}
	defer stop()
	r, err := newTrial(ctx, peer, s, p.options.shape, p.options.connections)
	if err != nil {
		return cost{}, err
	}
	defer r.close()
	err = r.warm(ctx, c.atMost)
	for start := time.Now(); err == nil && time.Since(start) < c.atMost; {
		if err = r.push(ctx, c.reports(p.options.shape), c.atMost); err == nil {
			err = r.scrape(ctx)
		}
	}
	if err != nil {
		return cost{}, fmt.Errorf("%w; its log ends:\n%s", err, s.Log())
	}
	return r.cost, nil
}

// print prints the table, each peer's figures with their ratio to ours.
func (c *peersCommand) print(o options, selected []peer, costs map[string][]cost) {
	fmt.Printf("%d gateways of %d series, %d a push, %d connections; %s samples pending at a scrape; each started %d times, and measured from the second report on: median (least-most)\n\n",
		o.shape.Gateways, o.shape.SeriesEach, o.shape.PerPush, o.connections,
		report.Thousands(int64(c.reports(o.shape)*o.shape.Series())), c.rounds)
	var rows [][]string
	for _, p := range selected {
		push := column(costs, p.name, cost.pushPerM)
		row := []string{p.name, report.Spread(push), ratio(push, column(costs, nameOurs, cost.pushPerM))}
		if p.scrape == "" {
			row = append(row, "", "", "")
		} else {
			scrape := column(costs, p.name, cost.scrapePerM)
			row = append(row, report.Spread(scrape), ratio(scrape, column(costs, nameOurs, cost.scrapePerM)),
				report.Spread(column(costs, p.name, func(c cost) float64 { return c.perHeld })))
		}
		rows = append(rows, append(row, report.Spread(column(costs, p.name, cost.rate))))
	}
	report.Table(os.Stdout, []string{
		"", "push, CPU-s a M", "of ours", "scrape, CPU-s a M", "of ours", "RSS a held sample, B", "M samples/s pushed",
	}, rows)
}

func column(costs map[string][]cost, name string, of func(cost) float64) []float64 {
	var out []float64
	for _, c := range costs[name] {
		out = append(out, of(c))
	}
	return out
}

func ratio(theirs, ours []float64) string {
	if len(ours) == 0 {
		return ""
	}
	return report.Figure(report.Median(theirs)/report.Median(ours)) + "x"
}

// peerGoals notes the goals for which all that they compare was measured.
func peerGoals(g *report.Goals, costs map[string][]cost) {
	median := func(name string, of func(cost) float64) float64 { return report.Median(column(costs, name, of)) }
	if costs[nameOurs] == nil {
		return
	}
	push, scrape := median(nameOurs, cost.pushPerM), median(nameOurs, cost.scrapePerM)
	g.AtMost("push", push, pushGoal, " CPU-s a M")
	g.AtMost("scrape, uncompressed", scrape, scrapeGoal, " CPU-s a M")
	if costs[nameEdgeHub] != nil {
		g.AtLeast("push, less than prometheus-edge-hub", median(nameEdgeHub, cost.pushPerM)/push, 28, "x")
		g.AtLeast("scrape, less than prometheus-edge-hub", median(nameEdgeHub, cost.scrapePerM)/scrape, 27, "x")
	}
	if costs[nameVMAgent] != nil {
		g.AtLeast("push, less than vmagent", median(nameVMAgent, cost.pushPerM)/push, 3.4, "x")
	}
}
