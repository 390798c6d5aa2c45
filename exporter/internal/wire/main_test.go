package wire

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	flag.Parse()
	PoisonReleased = flag.Lookup("test.bench").Value.String() == ""
	os.Exit(m.Run())
}
