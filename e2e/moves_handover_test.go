package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A hub goes away for good while its server is down, and hands over what it has to the first hub. Some of its gateways go on there, the others
// elsewhere. A query over all shards counts each series once, at every instant, and has every sample.
func TestMovesByHandover(t *testing.T) {
	m := startMoves(t, "--web.enable-lifecycle")
	first := m.Shards[:moversFirst]
	m.complete(t)
	homes := m.awaitHomes(t, first)
	leaves, stays := first[1], first[0]

	require.NoError(t, leaves.Server.Stop(patient))
	down := time.Now()
	eventually(t, patience, func(context.Context) error {
		if since := time.Since(down); since < 12*moversReports {
			return fmt.Errorf("its hub holds the reports of %s", since)
		}
		return nil
	})
	answer, err := http.Post(leaves.Hub.URL()+"/-/handover?to="+url.QueryEscape(stays.Hub.URL()), "", nil)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", text)
	t.Logf("handed over to %s: %s", stays.Hub.Name, text)
	require.NoError(t, leaves.Hub.Process.Stop(patient), "nothing was left to wait for")
	m.awaitAway(t, leaves, homes)
	require.NoError(t, leaves.Server.Restart(t.Context()))

	away := time.Now()
	eventually(t, patience, func(context.Context) error {
		if since := time.Since(away); since < askDelay+10*moversReports {
			return fmt.Errorf("the gateways are elsewhere for %s", since)
		}
		return nil
	})
	end := time.Now().Add(-askDelay).Truncate(time.Second)
	require.NoError(t, m.fleet.stop())
	requireSame(t, m.one(), m.reference(), m.began, end, time.Time{})
}
