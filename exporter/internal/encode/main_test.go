package encode

import (
	"flag"
	"os"
	"testing"

	"github.com/hubring/hubring/exporter/internal/wire"
)

func TestMain(m *testing.M) {
	flag.Parse()
	wire.PoisonReleased = flag.Lookup("test.bench").Value.String() == ""
	os.Exit(m.Run())
}
