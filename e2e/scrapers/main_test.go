package scrapers

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// nightly asks for the rows whose programs take many minutes to build.
var nightly = flag.Bool("nightly", false, "try the scrapers whose programs take many minutes to build")

// beside is how many rows are tried at once, unless -parallel says otherwise: they wait
// more than they work, so more than there are cores.
const beside = "10"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		if err := flag.Set("test.parallel", beside); err != nil {
			fmt.Fprintln(os.Stderr, "scrapers:", err)
			return 1
		}
	}
	dir, err := os.MkdirTemp("", "hubring-scrapers-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "scrapers:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs.dir = dir
	status := m.Run()
	if testing.Verbose() {
		printResults()
	}
	return status
}
