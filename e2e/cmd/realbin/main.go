// Command realbin builds the real programs of the end-to-end suite, unless
// they are there already, and prints the folder that holds them. Run it before
// "go test" where the cache may be cold: the build alone can outlast the ten
// minutes that "go test" allows by default.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
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
	dir, err := realbin.Dir(ctx, checkout, os.Stderr)
	if err != nil {
		return err
	}
	fmt.Println(dir)
	return nil
}
