package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// hangLimit is how long the exporter may take to leave a hub that does not
// answer: its timeout of a push, and a failover.
const hangLimit = 30 * time.Second

// A hub hangs under load and goes on later. Its gateways move and return, and
// nothing is lost: what it held, and what it read only when it went on, is
// scraped after all, although the scrapes that reached it meanwhile had long
// been given up. So some samples are in two shards, and the querier still
// counts each series once.
func TestHangHub(t *testing.T) {
	s := globalStack(t)
	f := startFleet(t, s, hubs(s), fleetConfig{name: "hang", gateways: 14, controllers: 2, interval: 500 * time.Millisecond})
	homes := awaitHomes(t, s, f)
	victim := busiest(homes, len(s.Shards))
	moving := func(id string) bool { return homes[id] == victim }
	hub := s.Shards[victim].Hub
	t.Cleanup(func() { require.NoError(t, hub.Process.Resume()) })

	watch := startWatch(t, s, f)
	awaitPending(t, hub)
	require.NoError(t, hub.Process.Suspend(t.Context()))
	hung := time.Now()
	awaitMoved(t, s, f, hangLimit, victim, moving, hung)
	t.Logf("%s hung: its gateways' reports were whole on other shards after %s", hub.Name, time.Since(hung).Round(time.Millisecond))

	require.NoError(t, hub.Process.Resume())
	resumed := time.Now()
	awaitWhole(t, f, homeLimit, shardClients(s)[victim:victim+1], moving, resumed)
	t.Logf("%s went on: their reports were whole at home after %s", hub.Name, time.Since(resumed).Round(time.Millisecond))

	require.NoError(t, f.stop())
	_, twice := settle(t, s, f, func(string, time.Time) bool { return false })
	t.Logf("no sample was lost, %d are in two shards", twice)
	watch.await(t, 5)
	watch.stop(t)
}
