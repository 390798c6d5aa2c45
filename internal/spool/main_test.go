package spool

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// childEnv makes the test binary the process that a test kills: see kill_test.go.
const childEnv = "SPOOL_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}
