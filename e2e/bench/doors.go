package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
)

// door is a protocol, and where each server takes it.
type door struct {
	key        string
	ours       *load.Format // nil is text
	vmagent    *load.Format // nil where it does not take it
	prometheus *load.Format
	calls      bool // by gRPC, which a prometheus-edge-hub takes, too
}

func doors() []door {
	return []door{
		{key: "text"},
		{key: "openmetrics", ours: load.OpenMetrics.At("/metrics")},
		{key: "protobuf", ours: load.Protobuf.At("/metrics")},
		{
			key: "remote write 1.0", ours: load.RemoteWrite1.At("/api/v1/write"), vmagent: load.RemoteWrite1.At("/api/v1/write"),
			prometheus: load.RemoteWrite1.At("/api/v1/write"),
		},
		{key: "remote write 2.0", ours: load.RemoteWrite2.At("/api/v1/write"), prometheus: load.RemoteWrite2.At("/api/v1/write")},
		{
			key: "otlp", ours: load.OTLP.At("/v1/metrics"), vmagent: load.OTLP.At("/opentelemetry/v1/metrics"),
			prometheus: load.OTLP.At("/api/v1/otlp/v1/metrics"),
		},
		{key: "grpc", calls: true},
	}
}

// Goals of each door: what it may cost at most, in CPU-s a million samples, and how much less than vmagent.
const (
	doorGoal      = 0.4
	doorOfVMAgent = 2
)

type doorsCommand struct {
	only   []string
	rounds int
	atMost time.Duration
}

func addDoors(app *kingpin.Application) (string, func(context.Context, options) error) {
	var c doorsCommand
	var keys []string
	for _, d := range doors() {
		keys = append(keys, d.key)
	}
	cmd := app.Command("doors", "What a pushed sample costs by each protocol: a hub, beside vmagent and a Prometheus that receives where they take it.")
	cmd.Flag("only", "Only this protocol; repeatable.").EnumsVar(&c.only, keys...)
	cmd.Flag("rounds", "How often each is started and measured, by turns.").Default("2").IntVar(&c.rounds)
	cmd.Flag("for", "How long to load each, each time.").Default("6s").DurationVar(&c.atMost)
	return cmd.FullCommand(), c.run
}

// doorServer is a server and the protocol that it is pushed to by.
type doorServer struct {
	peer
	format *load.Format
}

func (c *doorsCommand) run(ctx context.Context, o options) error {
	o.setPerPush(10)
	w, err := openWorkshop(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	p := programs{workshop: w, options: o}
	if p.program, err = w.peers(ctx); err != nil {
		return err
	}
	suite, err := realbin.Dir(ctx, w.checkout, os.Stderr)
	if err != nil {
		return err
	}
	costs := map[string][]float64{} // CPU-s a million, by protocol and server
	for round := range c.rounds {
		for _, d := range c.selected() {
			servers, err := d.servers(suite)
			if err != nil {
				return err
			}
			for name, s := range servers {
				one, err := c.measure(ctx, p, s)
				if err != nil {
					return fmt.Errorf("measure %s by %s: %w", name, d.key, err)
				}
				progress("round %d of %d, %s by %s: %s", round+1, c.rounds, name, d.key, one)
				costs[d.key+name] = append(costs[d.key+name], one.pushPerM())
			}
		}
	}
	return c.print(o, costs)
}

func (c *doorsCommand) selected() (some []door) {
	for _, d := range doors() {
		wanted := len(c.only) == 0
		for _, key := range c.only {
			wanted = wanted || key == d.key
		}
		if wanted {
			some = append(some, d)
		}
	}
	return some
}

// The servers' names, as they stand in the table.
const nameReceiver = "Prometheus 3.15.0"

// servers are those that take a protocol.
func (d door) servers(suite string) (map[string]doorServer, error) {
	if d.calls {
		return callServers()
	}
	all := map[string]doorServer{nameOurs: {peers(0)[0], d.ours}}
	if d.vmagent != nil || d.ours == nil {
		agent := peer{behind: 3 * time.Second, start: startVMAgent}
		if d.ours == nil {
			agent.path = func(int) string { return "/api/v1/import/prometheus" }
		}
		all[nameVMAgent] = doorServer{agent, d.vmagent}
	}
	if d.prometheus != nil {
		all[nameReceiver] = doorServer{peer{behind: 3 * time.Second, start: startReceiver(suite)}, d.prometheus}
	}
	return all, nil
}

// callServers are those that are called by gRPC, each at a port of its own.
func callServers() (map[string]doorServer, error) {
	all := map[string]doorServer{}
	for _, name := range []string{nameOurs, nameEdgeHub} {
		address, err := process.FreeAddress()
		if err != nil {
			return nil, err
		}
		port := address[strings.LastIndexByte(address, ':')+1:]
		p := edgeHub("-grpc-port=" + port)
		if name == nameOurs {
			p = peers(0)[0]
			p.start = func(ctx context.Context, p programs) (*server.Server, func(), error) {
				return only(server.Start(ctx, p.hub("--grpc.listen-address="+address)))
			}
		}
		all[name] = doorServer{p, load.Collect.CallsAt(address)}
	}
	return all, nil
}

// startReceiver starts a Prometheus that takes remote write and OTLP.
func startReceiver(suite string) func(context.Context, programs) (*server.Server, func(), error) {
	return func(ctx context.Context, _ programs) (*server.Server, func(), error) {
		return only(server.Start(ctx, server.Spec{
			Name: "prometheus", Path: filepath.Join(suite, realbin.Prometheus), Ready: "/-/ready",
			Args: func(address, dir string) []string {
				return []string{
					"--web.listen-address=" + address, "--storage.tsdb.path=" + filepath.Join(dir, "data"), "--config.file=" + os.DevNull,
					"--web.enable-remote-write-receiver", "--web.enable-otlp-receiver",
				}
			},
		}))
	}
}

func (c *doorsCommand) measure(ctx context.Context, p programs, s doorServer) (cost, error) {
	started, stop, err := s.start(ctx, p)
	if err != nil {
		return cost{}, err
	}
	defer stop()
	shape := p.options.shape
	shape.Format = s.format
	r, err := newTrial(ctx, s.peer, started, shape, p.options.connections)
	if err != nil {
		return cost{}, err
	}
	defer r.close()
	err = r.warm(ctx, c.atMost)
	for start := time.Now(); err == nil && time.Since(start) < c.atMost; {
		if err = r.push(ctx, doorReports, c.atMost); err == nil {
			err = r.scrapeMore(ctx) // by OTLP each gateway has a target_info
		}
	}
	if err != nil {
		return cost{}, fmt.Errorf("%w; its log ends:\n%s", err, started.Log())
	}
	return r.cost, nil
}

// doorReports is how often the fleet reports between two scrapes.
const doorReports = 8

func (c *doorsCommand) print(o options, costs map[string][]float64) error {
	fmt.Printf("%d gateways of %d series, %d a push, %d connections; pushed, CPU-s a M samples: median (least-most)\n\n",
		o.shape.Gateways, o.shape.SeriesEach, o.shape.PerPush, o.connections)
	goals := &report.Goals{Tolerance: o.tolerance}
	var rows [][]string
	text := 0.0
	if costs["text"+nameOurs] != nil {
		text = report.Median(costs["text"+nameOurs])
	}
	for _, d := range c.selected() {
		ours := costs[d.key+nameOurs]
		row := []string{d.key, report.Spread(ours), ""}
		if text > 0 {
			row[2] = report.Figure(report.Median(ours)/text) + "x"
		}
		for _, name := range []string{nameVMAgent, nameReceiver, nameEdgeHub} {
			theirs := costs[d.key+name]
			if theirs == nil {
				row = append(row, "", "")
				continue
			}
			row = append(row, report.Spread(theirs), ratio(theirs, ours))
		}
		rows = append(rows, row)
		goals.AtMost(d.key, report.Median(ours), doorGoal, " CPU-s a M")
		if theirs := costs[d.key+nameVMAgent]; theirs != nil {
			goals.AtLeast(d.key+", less than vmagent", report.Median(theirs)/report.Median(ours), doorOfVMAgent, "x")
		}
	}
	report.Table(os.Stdout, []string{"", nameOurs, "of text", nameVMAgent, "of ours", nameReceiver, "of ours", nameEdgeHub, "of ours"}, rows)
	fmt.Println()
	return o.verdict(os.Stdout, goals)
}
