package exporter

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" { // a child of BenchmarkAgainstMagma
		serveSinks()
		return
	}
	flag.Parse()
	poisonReleased = flag.Lookup("test.bench").Value.String() == ""
	goleak.VerifyTestMain(m)
}
