// Bench measures what a hub costs: beside other push gateways, by itself, beside an
// older build, and together with a real Prometheus. Run it from a checkout, on Linux:
//
//	go run ./e2e/bench peers
//	go run ./e2e/bench doors
//	go run ./e2e/bench hub
//	go run ./e2e/bench outage
//	go run ./e2e/bench before
//	go run ./e2e/bench encodings
//	go run ./e2e/bench sustained --for=3m
//
// Every server is a process of its own, on loopback. What it costs is the
// processor time that the kernel charged it with, so the load generator does not
// count. Programs of others are built on first use, from the modules in e2e/tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/bench/internal/load"
	"github.com/hubring/hubring/e2e/bench/internal/server"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/report"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// errMissed is the result of a run with --check that missed a goal.
var errMissed = errors.New("a goal was missed")

// options are the flags that several commands share.
type options struct {
	shape       load.Shape
	connections int
	check       bool
	tolerance   float64
	sync        string // of hubs' logs on disk; empty for none
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run runs the command that the arguments name. A wrong command line ends the
// process with status 2.
func run(ctx context.Context, args []string) error {
	var o options
	app := kingpin.New("bench", "Measures what a hub costs. CPU is the server's own, as the kernel accounts it.")
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	app.Flag("gateways", "Gateways of the fleet.").Default("347").IntVar(&o.shape.Gateways)
	app.Flag("series", "Series of one gateway.").Default("303").IntVar(&o.shape.SeriesEach)
	app.Flag("gateways-per-push", "Gateways whose reports make one push. Default 1, and for sustained 10.").PlaceHolder("N").IntVar(&o.shape.PerPush)
	app.Flag("connections", "Keep-alive connections that the fleet pushes over.").Default("4").IntVar(&o.connections)
	app.Flag("storage.sync", "Hubs have their log on disk, and this --storage.sync: always, interval:100ms or os. Without it the log is in memory.").StringVar(&o.sync)
	app.Flag("check", "End with status 1 when a goal is missed.").BoolVar(&o.check)
	app.Flag("tolerance", "Factor on every goal, for machines that are noisy or slow.").Default("1").Float64Var(&o.tolerance)
	commands := map[string]func(context.Context, options) error{}
	for _, add := range []func(*kingpin.Application) (string, func(context.Context, options) error){
		addPeers, addDoors, addHub, addOutage, addBefore, addEncodings, addSustained, addCeiling, addSink, addScrape,
	} {
		name, command := add(app)
		commands[name] = command
	}
	name, err := app.Parse(args)
	if err == nil {
		err = o.validate()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v; try --help\n", err)
		os.Exit(2)
	}
	return commands[name](ctx, o)
}

func (o options) validate() error {
	for flag, value := range map[string]int{
		"gateways": o.shape.Gateways, "series": o.shape.SeriesEach,
		"connections": o.connections,
	} {
		if value < 1 {
			return fmt.Errorf("--%s=%d must be positive", flag, value)
		}
	}
	if o.shape.PerPush < 0 {
		return fmt.Errorf("--gateways-per-push=%d must be positive", o.shape.PerPush)
	}
	if o.shape.Gateways < o.connections*max(1, o.shape.PerPush) {
		return fmt.Errorf("%d gateways do not give each of %d connections a push of %d", o.shape.Gateways, o.connections, o.shape.PerPush)
	}
	if !(o.tolerance > 0) {
		return fmt.Errorf("--tolerance=%v must be positive", o.tolerance)
	}
	return nil
}

// setPerPush is for commands: what a push holds where the flag does not say it.
func (o *options) setPerPush(gateways int) {
	if o.shape.PerPush == 0 {
		o.shape.PerPush = gateways
	}
}

// verdict prints the goals and, if asked to, fails when one was missed.
func (o options) verdict(w io.Writer, g *report.Goals) error {
	g.Write(w)
	if o.check && g.Missed() > 0 {
		return errMissed
	}
	return nil
}

// progress prints a line of progress, beside the results.
func progress(format string, args ...any) { fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...) }

// workshop is what servers are made from.
type workshop struct {
	checkout string
	dir      string // for what is built only for this run
	edgehub  string
	self     string // this program
	sync     string // of hubs' logs on disk; empty for none
	hubs     int    // that were asked for
}

// openWorkshop builds the hub of the checkout. The caller must close it.
func openWorkshop(ctx context.Context, o options) (*workshop, error) {
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	w := &workshop{checkout: checkout, self: self, sync: o.sync}
	if w.dir, err = os.MkdirTemp("", "hubring-bench-"); err != nil {
		return nil, fmt.Errorf("make a folder to build in: %w", err)
	}
	progress("building edgehub")
	if w.edgehub, err = stack.BuildHub(ctx, checkout, w.dir, false); err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *workshop) close() { _ = os.RemoveAll(w.dir) }

// hub says how to start a hub with flags beside its defaults.
func (w *workshop) hub(flags ...string) server.Spec {
	if w.sync != "" {
		w.hubs++
		flags = append(flags, "--storage.sync="+w.sync, "--storage.path="+filepath.Join(w.dir, fmt.Sprintf("log-%d", w.hubs)))
	}
	return server.Spec{
		Name: "edgehub", Path: w.edgehub, Ready: "/-/ready",
		Args: func(address, _ string) []string {
			return append([]string{"--web.listen-address=" + address, "--web.stop-timeout=1s"}, flags...)
		},
	}
}

// peers returns a function that finds the program of a peer.
func (w *workshop) peers(ctx context.Context) (func(name string) string, error) {
	dir, err := realbin.PeersDir(ctx, w.checkout, os.Stderr)
	return func(name string) string { return filepath.Join(dir, name) }, err
}
