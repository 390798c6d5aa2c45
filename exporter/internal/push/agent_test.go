package push

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAgent(t *testing.T) {
	is := func(want string, main debug.Module, deps ...*debug.Module) {
		t.Helper()
		assert.Equal(t, want, agentOf(&debug.BuildInfo{Main: main, Deps: deps}, true))
	}
	other := debug.Module{Path: "example.com/controller", Version: "v9.0.0"}
	is("hubring-exporter/v1.2.3", other, &debug.Module{Path: "example.com/x", Version: "v2.0.0"}, &debug.Module{Path: module, Version: "v1.2.3"})
	is("hubring-exporter/v1.2.3", debug.Module{Path: module, Version: "v1.2.3"})
	is("hubring-exporter", debug.Module{Path: module, Version: "(devel)"})
	is("hubring-exporter", other)
	assert.Equal(t, "hubring-exporter", agentOf(nil, false))
}
