// Command stack is the demo: a fleet of simulated gateways, the exporter, hubs
// and embedded Prometheus shards in one process, with one query API over all
// of them. Run it with `go run ./cmd/demo`, which builds it first.
//
// Which file does what:
//
//	main.go     flags, signals, exit code
//	demo.go     puts the parts together, runs them, stops them in order
//	host.go     a hub that can be killed and started again on its port
//	chaos.go    when a hub dies and comes back
//	collect.go  --scrape: a gateway that reports a real exporter's metrics
//	live.go     the line every few seconds, and the check behind it
//	drain.go    waiting until every hub is empty
//	summary.go  the tables at the end
//	shard/      an embedded Prometheus
//	api/        Prometheus' query API over all shards
//	fleet/      the simulated gateways
//	account/    where every sample is
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/promslog/flag"
)

// Exit codes. After Ctrl-C the demo exits with 0 or 1 as the account says, but
// `go run` around it makes any code a 1.
const (
	exitFault       = 1   // the account has faults, a flag is wrong, or the demo could not run
	exitInterrupted = 130 // a second Ctrl-C
)

func main() {
	cfg := parseFlags(os.Args[1:])
	dir, err := os.MkdirTemp("", "hubring-demo-")
	if err != nil {
		fmt.Fprintf(os.Stderr, "demo: directory for the shards: %v\n", err)
		os.Exit(exitFault)
	}
	cfg.Dir = dir
	ctx, stop := withSignals(context.Background(), func() { _ = os.RemoveAll(dir) })
	err = run(ctx, cfg)
	stop()
	if rmErr := os.RemoveAll(dir); err == nil && rmErr != nil {
		err = fmt.Errorf("remove the shards' directory: %w", rmErr)
	}
	if err != nil {
		if !errors.Is(err, errAccount) { // the summary has said it
			fmt.Fprintf(os.Stderr, "demo: %v\n", err)
		}
		os.Exit(exitFault)
	}
}

func parseFlags(args []string) Config {
	cfg := Config{Out: os.Stdout}
	app := kingpin.New("demo", "Simulated gateways, the exporter, edge hubs and embedded Prometheus shards in one process, "+
		"with Prometheus' query API over all shards on one port. Exits with 1 if a sample was lost or a series counted twice.")
	app.Flag("hubs", "Hubs, each with a Prometheus shard of its own.").Default("3").IntVar(&cfg.Hubs)
	app.Flag("gateways", "Simulated gateways of 303 series each. 1,500 series of no gateway come on top.").Default("347").IntVar(&cfg.Gateways)
	app.Flag("interval", "Time between two reports of a gateway, and between two scrapes of a hub (there at least 1s).").Default("5s").DurationVar(&cfg.Interval)
	app.Flag("listen", "Address of the query API. Default 127.0.0.1:9090, or a free port where that is taken.").PlaceHolder("HOST:PORT").StringVar(&cfg.Listen)
	app.Flag("for", "Time to run, then the summary. Default until Ctrl-C; every sample is kept that long, about 200 MB on disk an hour.").PlaceHolder("DURATION").DurationVar(&cfg.For)
	app.Flag("kill-hub", "Hub to kill abruptly, counted from 0: in the middle of --for (or after 20s), back a quarter of --for later (or 15s).").
		Default("-1").PlaceHolder("N").IntVar(&cfg.KillHub)
	app.Flag("placement", "How gateways are placed on hubs: rendezvous; or consistent, the circle of github.com/buraksezer/consistent, with "+
		"parameters as in consistent/partitions=20011/replicas=200/load=1.25.").Default("rendezvous").StringVar(&cfg.Placement)
	app.Flag("scrape", "URL of a real exporter's metrics that one more gateway reports. Repeatable.").PlaceHolder("URL").StringsVar(&cfg.Scrape)
	logging := &promslog.Config{}
	flag.AddFlags(app, logging)
	app.GetFlag(flag.LevelFlagName).Default("warn")
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	if _, err := app.Parse(args); err != nil {
		fmt.Fprintf(os.Stderr, "demo: %v\ntry --help\n", err)
		os.Exit(exitFault)
	}
	logging.Writer = os.Stderr
	cfg.Logger = promslog.New(logging)
	return cfg
}

// withSignals returns a context that ends with the first SIGINT or SIGTERM. At
// the second the process cleans up and exits. The returned function ends both.
func withSignals(parent context.Context, cleanUp func()) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		for {
			select {
			case <-signals:
				if ctx.Err() != nil {
					cleanUp()
					os.Exit(exitInterrupted)
				}
				cancel()
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		<-finished
		cancel()
	}
}

// say prints one line for people. A screen that is gone stops nothing.
func say(w io.Writer, format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) }
