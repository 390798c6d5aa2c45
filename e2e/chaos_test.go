package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	chaosShards      = 3
	chaosControllers = 2
	chaosGateways    = 20 // of each controller
	chaosSeries      = 5  // of each gateway
	chaosEvery       = 500 * time.Millisecond
	chaosUsually     = 2 * time.Minute // unless CHAOS_FOR says how long
	chaosProgress    = 5 * time.Second // between two lines of the log
)

// Hubs, their servers, controllers and the network between them fail all the time, several at once, and recover. In
// the end every sample that a Submit returned nil for is stored, as it was submitted and no other, and one query over
// all shards sees it once.
//
//	CHAOS_FOR=10m go test ./e2e -run TestChaos -count=1 -v -timeout 30m
//
// The log begins with the seed. With CHAOS_SEED=N the same things fail in the same order at the same times; what the
// programs are doing just then is another matter.
func TestChaos(t *testing.T) {
	t.Parallel()
	lasts, seed := chaosUsually, rand.Uint64N(1_000_000)
	if text := os.Getenv("CHAOS_FOR"); text != "" {
		var err error
		lasts, err = time.ParseDuration(text)
		require.NoError(t, err, "CHAOS_FOR")
	}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err, "CHAOS_SEED")
	}
	faults := drawFaults(seed, lasts)
	replay := fmt.Sprintf("CHAOS_SEED=%d CHAOS_FOR=%s go test ./e2e -run TestChaos -count=1 -v -timeout 30m", seed, lasts)
	t.Logf("%d faults in %s: %s", len(faults), lasts, replay)

	c := startChaos(t, seed, chaosShards)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("replay with: %s", replay)
		}
	})
	c.suffer(faults, lasts)
	c.finish()
	c.account()
}

// The same seed brings the same faults, each of them recovers, and whatever can fail does.
func TestChaosIsDrawnFromItsSeed(t *testing.T) {
	faults := drawFaults(7, time.Hour)
	require.Equal(t, faults, drawFaults(7, time.Hour))
	require.NotEqual(t, faults, drawFaults(8, time.Hour))
	kinds := map[int]bool{}
	busy := map[string]time.Duration{}
	for _, f := range faults {
		kinds[f.kind] = true
		require.GreaterOrEqual(t, f.at, busy[f.target()], "%s fails while it does", f.target())
		busy[f.target()] = f.at + f.lasts
		require.Less(t, f.at+f.lasts, time.Hour)
	}
	require.Len(t, kinds, len(chaosKinds))
}
