// Querybench measures what queries cost over shards, beside one Prometheus with the same
// data, and compares every answer with its. Run it from a checkout, on Linux:
//
//	go run ./e2e/querybench
//	go run ./e2e/querybench --keep=$HOME/querybench --svg=queries.svg
//	go run ./e2e/querybench --gateways=40 --series-scale=0.1 --n=2 --modes=A,S
//
// The data are a fleet's day in blocks, and the hour after it, which goes through real hubs
// into the heads of real servers; once whole, and once in as many parts as --n says. What
// it costs is the processor time that the kernel charged the servers with. The critical
// path is that of the slowest shard and of what merges: what a query waits for where each
// has a machine of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
)

// errDiffers is the result of a run in which something answered otherwise than it must.
var errDiffers = errors.New("an answer is not the one Prometheus'")

// options are the flags.
type options struct {
	shape    dataset.Shape
	modes    []string
	only     []string
	keep     string
	svg      string
	hubquery string
	warm     int
	fraction bool
}

const (
	mostParts    = 16
	mostGateways = 5000
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "querybench: %v; try --help\n", err)
		os.Exit(2)
	}
	err = run(ctx, o, os.Stdout)
	if err != nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "querybench:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	var parts, letters string
	app := kingpin.New("querybench", "Measures what queries cost over shards, beside one Prometheus with the same data, and compares the answers.\n\n"+
		"Memory: 2 GiB while the data are made, up to 6 GiB while the day is counted. Disk: 5 GiB for --n=2,4,8, removed at the end unless --keep says where they stay.")
	app.HelpFlag.Short('h')
	app.UsageWriter(os.Stdout)
	app.Flag("gateways", "Gateways of the fleet.").Default("347").IntVar(&o.shape.Gateways)
	app.Flag("series-scale", "Part of a gateway's 303 series that there are.").Default("1").Float64Var(&o.shape.Scale)
	app.Flag("moves", "Gateways that move to another part in the middle of the day: some ended there, some not, some twice, some and back.").Default("0").IntVar(&o.shape.Moves)
	app.Flag("seed", "What the values follow from.").Default("1").Uint64Var(&o.shape.Seed)
	app.Flag("n", "Into how many parts, by commas.").Default("2,4,8").StringVar(&parts)
	app.Flag("modes", "What is measured, by commas: "+described()+".").Default("A,V,S,B,D,F").StringVar(&letters)
	app.Flag("only", "Only queries whose name contains this; repeatable.").PlaceHolder("QUERY").StringsVar(&o.only)
	app.Flag("fraction", "Also ask at times and steps of parts of seconds, once each.").Default("true").BoolVar(&o.fraction)
	app.Flag("warm", "Measurements of a query after its first ask, of slow ones fewer; 0 is enough to compare answers.").Default("3").IntVar(&o.warm)
	app.Flag("keep", "Folder in which the data stay, and are found again.").PlaceHolder("DIR").StringVar(&o.keep)
	app.Flag("svg", "File for a drawing of how many times faster each is.").PlaceHolder("FILE").StringVar(&o.svg)
	app.Flag("hubquery", "Binary that is measured as S, instead of what the checkout builds.").PlaceHolder("FILE").StringVar(&o.hubquery)
	if _, err := app.Parse(args); err != nil {
		return o, err
	}
	for _, text := range strings.Split(parts, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 2 || n > mostParts {
			return o, fmt.Errorf("--n=%s: %q is no number of parts from 2 to %d", parts, text, mostParts)
		}
		o.shape.Parts = append(o.shape.Parts, n)
	}
	slices.Sort(o.shape.Parts)
	o.shape.Parts = slices.Compact(o.shape.Parts)
	for _, letter := range strings.Split(letters, ",") {
		if !known(letter) {
			return o, fmt.Errorf("--modes=%s: there is no %q", letters, letter)
		}
		o.modes = append(o.modes, letter)
	}
	return o, o.validate()
}

func described() string {
	var out []string
	for _, m := range modes {
		out = append(out, m.letter+" is "+m.what)
	}
	return strings.Join(out, "; ")
}

func known(letter string) bool {
	for _, m := range modes {
		if m.letter == letter {
			return true
		}
	}
	return false
}

func (o options) validate() error {
	switch s := o.shape; {
	case s.Gateways < 1 || s.Gateways > mostGateways:
		return fmt.Errorf("--gateways=%d must be from 1 to %d", s.Gateways, mostGateways)
	case !(s.Scale > 0 && s.Scale <= 1):
		return fmt.Errorf("--series-scale=%v must be above 0 and at most 1", s.Scale)
	case s.Moves < 0 || s.Moves > s.Gateways:
		return fmt.Errorf("--moves=%d must be from 0 to the %d gateways", s.Moves, s.Gateways)
	case o.warm < 0 || o.warm > 100:
		return fmt.Errorf("--warm=%d must be from 0 to 100", o.warm)
	}
	return nil
}

var began = time.Now()

// say prints a line of progress, beside the results.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "querybench: %4.0f s  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
}
