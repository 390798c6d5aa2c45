// Command realbin builds real programs, unless they are there already, and
// prints the folder that holds them: those of the end-to-end suite, or with the
// argument "cluster" those that the chart's tests need beside them, with "scrapers"
// the scrapers other than Prometheus, with "queries" the servers whose answers are measured. With "packaged" it has apt-get install the
// proxies, clients and compilers that are Debian's. Run it before "go test" where the cache may be cold: the
// build alone can outlast the ten minutes that "go test" allows by default.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "realbin:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return err
	}
	programs, err := chosen(os.Args[1:])
	if err != nil {
		return err
	}
	dir, err := programs(ctx, checkout, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}

// chosen returns what builds the programs that the arguments name.
func chosen(args []string) (func(context.Context, string, io.Writer) (string, error), error) {
	switch {
	case len(args) == 0:
		return realbin.Dir, nil
	case len(args) == 1 && args[0] == "cluster":
		return realbin.ClusterDir, nil
	case len(args) == 1 && args[0] == "scrapers":
		return realbin.ScrapersDir, nil
	case len(args) == 1 && args[0] == "queries":
		return realbin.QueriesDir, nil
	case len(args) == 1 && args[0] == "packaged":
		return packaged, nil
	default:
		return nil, fmt.Errorf("choose what to build: %q is not a set of programs; give nothing, \"cluster\", \"scrapers\", \"queries\" or \"packaged\"", args)
	}
}

// packaged installs what is Debian's, and returns where it is.
func packaged(ctx context.Context, _ string, progress io.Writer) (string, error) {
	paths, err := realbin.AllPackaged(ctx, progress)
	if err != nil {
		return "", err
	}
	return strings.Join(paths, "\n"), nil
}
