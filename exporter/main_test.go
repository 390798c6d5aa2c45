package exporter

import (
	"flag"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/hubring/hubring/exporter/internal/wire"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" { // a child of BenchmarkAgainstMagma
		serveSinks()
		return
	}
	if os.Getenv(controllerVariable) != "" { // a child of TestKilledController
		control(os.Args[1], os.Args[2:])
		return
	}
	flag.Parse()
	wire.PoisonReleased = flag.Lookup("test.bench").Value.String() == ""
	goleak.VerifyTestMain(m)
}
