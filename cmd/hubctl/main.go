// Hubctl answers what a ring of hubs will do before it does it: what a rescale
// would move, and how rings behave at scale. And it places the gateways of a fleet evenly.
//
//	hubctl plan --from=3 --to=5 --gateways=fleet.txt
//	hubctl plan --from=5 --to=5 --placement-before=consistent --gateways=fleet.txt
//	hubctl place --hubs.file=hubs.yml placement.json
//	hubctl place --hubs.file=hubs.yml configmap:placement
//	hubctl simulate --gateways=1000000 --hubs=1000
//	hubctl ring-cost
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
	"github.com/prometheus/common/version"
)

// Exit codes: 0 if all went well.
const (
	exitFailed = 1 // the work failed
	exitUsage  = 2 // the command line asks for something that cannot be
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], terminal{in: os.Stdin, out: os.Stdout, err: os.Stderr, live: isTerminal(os.Stderr)})
	stop()
	os.Exit(code)
}

// terminal is what a command reads from and writes to.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	live     bool // err is a terminal, so lines on it can be overwritten
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// command is a subcommand after its flags were read.
type command func(ctx context.Context, t terminal) error

// usageError is a fault of the command line, not of the work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, t terminal) int {
	app := kingpin.New("hubctl", "Plans and simulates rings of edge hubs.")
	app.Version(version.Print("hubctl"))
	app.HelpFlag.Short('h')
	app.UsageWriter(t.out)
	done := false // --help or --version was given and answered
	app.Terminate(func(int) { done = true })
	commands := map[string]command{
		"plan": planCommand(app.Command("plan", "Shows what moves when the set of hubs or their placement changes, without moving anything.")),
		"place": placeCommand(app.Command("place", "Asks the hubs which gateways they have, and writes down which of them belong elsewhere so that no hub has much more than its share. "+
			"It is run again and again, such as each hour, and changes the placement only when that is worth it.")),
		"simulate":  simulateCommand(app.Command("simulate", "Runs a large fleet through failures and rescales, and shows what becomes of it.")),
		"ring-cost": costCommand(app.Command("ring-cost", "Measures what building and asking a ring costs on this machine, as a table in Markdown.")),
	}

	name, err := app.Parse(args)
	if done {
		return 0
	}
	if err != nil {
		err = usageError{err}
	} else {
		err = commands[name](ctx, t)
	}
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(t.err, "hubctl: %v; try --help\n", err)
		return exitUsage
	default:
		fmt.Fprintf(t.err, "hubctl %s: %v\n", name, err)
		return exitFailed
	}
}
