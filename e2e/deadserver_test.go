package e2e

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// One server of a pair dies and stays dead while several times what the hub may keep is
// pushed: nothing is refused and the other server has all of it. When the dead one is
// back it gets the latest, and lacks as much as the hub says.
func TestDeadServerOfAPairStopsNobody(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"refuse", "newest"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			const limit, size, rounds = 6000, 1000, 30
			s, hub := oneHub(t, "--scrape.cursor=a", "--scrape.cursor=b", "--limit.policy="+policy, fmt.Sprintf("--limit.samples=%d", limit))
			a := startServer(t, s, stack.ServerConfig{Name: "a"}, pairScrape)
			b := startServer(t, s, stack.ServerConfig{Name: "b"}, replace(t, pairScrape, "cursor: [a]", "cursor: [b]"))
			p := newPushes(hub, "dead")
			for i := range 4 {
				require.True(t, p.push(t, i, size))
			}
			p.awaitStored(t, b, 0)
			awaitScraped(t, hub, "a", len(p.taken)) // or a might be the one that is left behind
			awaitScraped(t, hub, "b", len(p.taken))

			b.Kill()
			before := len(p.taken)
			for i := range rounds {
				// What nobody has for sure must leave room for the push, as it would where a scrape is due.
				awaitOwn(t, hub, "edgehub_cursor_lag_samples", map[string]string{"cursor": "a"}, func(n int) bool { return n <= limit/2 })
				require.True(t, p.push(t, i%4, size), "a push is refused while a server has everything")
			}
			require.Empty(t, p.awaitStored(t, a, 0))
			require.Zero(t, ownMetricNow(t, hub, "edgehub_pushes_rejected_total", nil))
			require.Zero(t, ownMetricNow(t, hub, "edgehub_samples_dropped_total", nil))
			left := ownMetricNow(t, hub, "edgehub_samples_left_behind_total", map[string]string{"cursor": "b"})
			require.Equal(t, rounds*size-limit, left)
			require.Zero(t, ownMetricNow(t, hub, "edgehub_samples_left_behind_total", map[string]string{"cursor": "a"}))
			require.Contains(t, hub.Process.Log(), `cursor=b limit=6000`)

			require.NoError(t, b.Restart(t.Context()))
			require.Equal(t, p.taken[before:before+left], p.awaitStored(t, b, left), "what it lacks is not the oldest")
			awaitScraped(t, hub, "b", len(p.taken)-left)
			awaitScraped(t, hub, "a", len(p.taken))
			requireUp(t, promapi.New(a.Address))
			requireUp(t, promapi.New(b.Address))
		})
	}
}
