package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFlagsOfTheAncestor(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		ours, _, err := fromAncestor(strings.Fields(args))
		require.NoError(t, err, args)
		assert.Equal(t, want, strings.Join(ours, " "), args)
	}
	for _, form := range []string{"-limit=5", "-limit 5", "--limit=5", "--limit 5", "-limit=7 -limit=5"} {
		f(form, "--limit.samples=5")
	}
	f("-limit=-1", "--limit.samples=1073741823")
	f("-limit -1", "--limit.samples=1073741823")
	f("-limit 0", "--limit.samples=1073741823")
	f("-limit=5e+06", "--limit.samples=5000000")
	f("-limit=9000000000", "--limit.samples=1073741823")
	f("-port=9091", "--web.listen-address=:9091")
	f("-port 0", "--web.listen-address=:0")
	f("-grpc-port=50051", "--grpc.listen-address=:50051")
	f("-grpc-port=0", "")
	f("-grpc-max-msg-size=1073741824", "--grpc.max-message-bytes=1073741824")
	f("-scrapeTimeout 10", "")
	f("-v=0", "")
	f("-v 2", "--log.level=debug")
	f("-logtostderr", "")
	f("-logtostderr=true -alsologtostderr -stderrthreshold=INFO -stderrthreshold 0 -vmodule=hub=2 -log_dir /tmp -log_backtrace_at=:0", "")

	f("", "")
	f("-limit=5 --hub.name=a -logtostderr --log.level debug", "--hub.name=a --log.level debug --limit.samples=5")
	f("--limit.samples=5 --version -h -help", "--limit.samples=5 --version -h -help")
	f("- -- -limit=5", "- -- -limit=5")
}

func TestFlagsThatAreNone(t *testing.T) {
	f := func(args, want string) {
		t.Helper()
		_, _, err := fromAncestor(strings.Fields(args))
		assert.EqualError(t, err, want, args)
	}
	const unknown = "; a hub's own flags have two dashes, one has what prometheus-edge-hub knows"
	f("-limits=5", "unknown flag -limits"+unknown)
	f("-limit.samples=5", "unknown flag -limit.samples"+unknown)
	f("-hub.name=a", "unknown flag -hub.name"+unknown)
	f("-scrape-timeout 10", "unknown flag -scrape-timeout"+unknown)
	f("-port", "flag needs an argument: -port")
	f("-port=http", `invalid value "http" for flag -port: strconv.ParseUint: parsing "http": invalid syntax`)
	f("-port=65536", `invalid value "65536" for flag -port: strconv.ParseUint: parsing "65536": value out of range`)
	f("-limit=", `invalid value "" for flag -limit: invalid syntax`)
	f("-limit many", `invalid value "many" for flag -limit: invalid syntax`)
	f("-grpc-max-msg-size=0", `invalid value "0" for flag -grpc-max-msg-size: value out of range`)
	f("-scrapeTimeout=10s", `invalid value "10s" for flag -scrapeTimeout: strconv.Atoi: parsing "10s": invalid syntax`)
	f("-logtostderr=maybe", `invalid value "maybe" for flag -logtostderr: strconv.ParseBool: parsing "maybe": invalid syntax`)

	out, err := edgehubCommand("-limits=5").CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	assert.Equal(t, 2, exit.ExitCode())
	assert.Contains(t, string(out), "edgehub: unknown flag -limits")
}

// The log says what became of each flag.
func TestHubStartedAsTheAncestor(t *testing.T) {
	hub := start(t, "-limit=500000", "-scrapeTimeout", "10", "-logtostderr", "-grpc-max-msg-size=1073741824")
	for _, line := range []string{
		`flag=-limit=500000 is=--limit.samples=500000\n`,
		`flag=-scrapeTimeout=10 is=nothing why="a scraper says with each scrape how long it waits"\n`,
		`flag=-logtostderr=true is=nothing why="the log goes to standard error"\n`,
		`flag=-grpc-max-msg-size=1073741824 is=--grpc.max-message-bytes=1073741824 why="--limit.bodies-bytes bounds all messages together"\n`,
	} {
		assert.Contains(t, strings.ReplaceAll(hub.log.String(), `"`, ""), strings.ReplaceAll(strings.ReplaceAll(line, `\n`, "\n"), `"`, ""))
	}
	hub.stop()
	require.NoError(t, <-hub.ended)
}
