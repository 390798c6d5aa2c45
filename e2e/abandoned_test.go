package e2e

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
)

// A scrape that its scraper gave up before the hub came to read it takes
// nothing, however small its answer is.
func TestAbandonedScrape(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	hub := s.Shards[0].Hub
	t.Cleanup(func() { require.NoError(t, hub.Process.Resume()) })

	const rounds = 20
	for i := range rounds {
		mustPush(t, hub, fmt.Sprintf("kept{round=\"%d\"} 1\n", i))
		require.NoError(t, hub.Process.Suspend(t.Context()))
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", hub.Address)
		require.NoError(t, err)
		_, err = fmt.Fprintf(conn, "GET /metrics HTTP/1.1\r\nHost: %s\r\nX-Prometheus-Scrape-Timeout-Seconds: 1\r\n\r\n", hub.Address)
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NoError(t, hub.Process.Resume())
	}
	body, err := fetch(t.Context(), hub.URL()+"/metrics?drain=1")
	require.NoError(t, err)
	for i := range rounds {
		require.Contains(t, string(body), fmt.Sprintf("kept{round=\"%d\"} 1 ", i))
	}
}
