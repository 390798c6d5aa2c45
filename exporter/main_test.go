package exporter

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(sinkVariable) != "" { // a child of TestLessCPUThanMagma
		serveSinks()
		return
	}
	goleak.VerifyTestMain(m)
}
