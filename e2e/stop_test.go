package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// SIGTERM lets a push that is under way finish, keeps new ones out, ends when its time
// is over with status 1, since samples are lost, and says in the log how many.
func TestStopWithoutAScraper(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true, HubArgs: []string{"--web.stop-timeout=3s", "--no-gateway.first-samples"}})
	hub := s.Shards[0].Hub
	mustPush(t, hub, "early 1\nearly{n=\"2\"} 2\n")

	conn := beginPush(t, hub, "late 1\nlate{n=\"2\"} ", 2)
	stopHub(t, hub)
	status, answer, err := push(t.Context(), hub, []byte("too_late 1\n"))
	require.NoError(t, err)
	require.Equal(t, http.StatusServiceUnavailable, status, answer)
	_, err = conn.Write([]byte("2\n"))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, readStatus(t, conn))
	require.ErrorContains(t, hub.Process.Wait(patience), "exit status 1")
	require.Regexp(t, `(?m)level=INFO .*msg="waiting for a scrape[^"]*" samples=\d`, hub.Process.Log())
	require.Regexp(t, `(?m)level=ERROR .*msg="[^"]*no scraper.*samples=4\b`, hub.Process.Log())
}

// stopHub tells a hub to stop and waits until it is no longer ready.
func stopHub(t *testing.T, hub *stack.Hub) {
	t.Helper()
	require.NoError(t, hub.Process.Terminate())
	eventually(t, patience, func(ctx context.Context) error {
		if _, err := fetch(ctx, hub.URL()+"/-/ready"); err == nil {
			return errors.New("the hub is still ready")
		}
		return nil
	})
}

// While many push all the time a hub is told to stop: it ends soon after its
// server's next scrape, and the server has every sample that was acknowledged.
func TestStopLosesNothing(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t)
	server := startServer(t, s, stack.ServerConfig{Name: "stop"}, wholeScrape)
	var all []*pushes
	g, ctx := errgroup.WithContext(t.Context())
	for i := range 4 {
		p := newPushes(hub, fmt.Sprintf("stop%d", i))
		all = append(all, p)
		g.Go(func() error { return p.untilStopped(ctx) })
	}
	awaitOwn(t, hub, "edgehub_samples_scraped_total", map[string]string{"cursor": ""}, func(n int) bool { return n > 1000 })
	require.NoError(t, hub.Process.Terminate())
	require.NoError(t, g.Wait())
	requireStopped(t, hub)
	for _, p := range all {
		p.requireStored(t, server)
	}
}

// A rolling upgrade: each hub in turn is told to stop and started again, while a fleet
// reports. Exporters step over the one that stops, and nothing is lost.
func TestRollingUpgradeLosesNothing(t *testing.T) {
	t.Parallel()
	s := ownStack(t, stack.Config{Shards: 2, NodeExporters: 1})
	f := startFleet(t, s, hubs(s), fleetConfig{name: "rolling", gateways: 6, controllers: 1, interval: 300 * time.Millisecond})
	reports := 3
	f.awaitReports(t, reports)
	for _, sh := range s.Shards {
		require.NoError(t, sh.Hub.Process.Terminate())
		requireStopped(t, sh.Hub)
		reports += 3
		f.awaitReports(t, reports)
		require.NoError(t, sh.Hub.Restart(t.Context()))
		awaitOwn(t, sh.Hub, "edgehub_samples_received_total", nil, func(n int) bool { return n > 0 })
	}
	require.NoError(t, f.stop())
	require.Positive(t, f.total(t, "hubring_exporter_samples_rerouted_total"))
	settle(t, s, f, func(string, time.Time) bool { return false })
}

// untilStopped pushes until the hub says that it is stopping, which must be the
// only reason to refuse.
func (p *pushes) untilStopped(ctx context.Context) error {
	for round := 0; ; round++ {
		p.at++
		id := fmt.Sprintf("%s-%02d", p.name, round%10)
		var body bytes.Buffer
		var batch []pushed
		for i := range 50 {
			fmt.Fprintf(&body, "pushed{gatewayID=%q,n=\"%d\"} %d %d\n", id, i, i, p.at)
			batch = append(batch, pushed{id, i, p.at})
		}
		switch status, answer, err := push(ctx, p.hub, body.Bytes()); {
		case err != nil:
			return err
		case status == http.StatusServiceUnavailable:
			return nil
		case status != http.StatusOK:
			return fmt.Errorf("status %d: %s", status, answer)
		}
		p.taken = append(p.taken, batch...)
	}
}

// requireStored requires that a server has all that was taken, and nothing else.
func (p *pushes) requireStored(t *testing.T, server *stack.Server) {
	t.Helper()
	require.NotEmpty(t, p.taken)
	want := map[pushed]bool{}
	for _, s := range p.taken {
		want[s] = true
	}
	eventually(t, patience, func(ctx context.Context) error {
		stored, err := p.stored(ctx, promapi.New(server.Address))
		if err == nil && !maps.Equal(want, stored) {
			err = fmt.Errorf("%d samples are stored, and %d were acknowledged", len(stored), len(want))
		}
		return err
	})
}

// requireStopped waits until a hub has ended, with everything scraped.
func requireStopped(t *testing.T, hub *stack.Hub) {
	t.Helper()
	require.NoError(t, hub.Process.Wait(patience))
	require.Regexp(t, `msg="[^"]*every sample was scraped`, hub.Process.Log())
	require.NotContains(t, hub.Process.Log(), "level=WARN")
}

// A hub of a pair waits for the server that is late.
func TestStopWaitsForBothOfAPair(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t, "--scrape.cursor=a", "--scrape.cursor=b")
	a := startServer(t, s, stack.ServerConfig{Name: "a"}, pairScrape)
	b := startServer(t, s, stack.ServerConfig{Name: "b"}, replace(t, pairScrape, "cursor: [a]", "cursor: [b]"))
	b.Kill()
	p := newPushes(hub, "pair")
	for i := range 4 {
		require.True(t, p.push(t, i, 50))
	}
	stopHub(t, hub)
	p.requireStored(t, a)
	eventually(t, patience, func(context.Context) error {
		if !strings.Contains(hub.Process.Log(), "behind=b ") {
			return errors.New("the hub does not say that it waits for b alone")
		}
		return nil
	})
	require.NoError(t, b.Restart(t.Context()))
	requireStopped(t, hub)
	p.requireStored(t, b)
}

// A server that is halted just then, so that what was written to it lies in its
// sockets, and gives that scrape up later, gets it again.
func TestStopWithAHaltedServer(t *testing.T) {
	t.Parallel()
	s, hub := oneHub(t)
	server := startServer(t, s, stack.ServerConfig{Name: "halted"}, wholeScrape)
	p := newPushes(hub, "halted")
	require.True(t, p.push(t, 0, 50))
	awaitDrained(t, hub)
	require.NoError(t, server.Process.Suspend(t.Context()))
	t.Cleanup(func() { require.NoError(t, server.Process.Resume()) })
	require.True(t, p.push(t, 1, 50))
	stopHub(t, hub)
	select {
	case <-hub.Process.Done():
		t.Fatal("the hub ended without a scrape")
	default:
	}
	require.NoError(t, server.Process.Resume())
	requireStopped(t, hub)
	p.requireStored(t, server)
}

// With everything scraped it ends at once and says that, too.
func TestStopWithNothingLeft(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1, HubsOnly: true})
	hub := s.Shards[0].Hub
	mustPush(t, hub, "early 1\n")
	// The end of its connection says that a scraper has read the response.
	scraper := http.Client{Transport: &http.Transport{}}
	resp, err := scraper.Get(hub.URL() + "/metrics?drain=1")
	require.NoError(t, err)
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	scraper.CloseIdleConnections()
	awaitDrained(t, hub)
	require.NoError(t, hub.Process.Terminate())
	requireStopped(t, hub)
	require.NotContains(t, hub.Process.Log(), "waiting for a scrape")
}

// beginPush sends the head of a push and the beginning of its body, of which
// so many more bytes will come, and returns when the hub is reading it: it
// says "100 Continue" then.
func beginPush(t *testing.T, hub *stack.Hub, body string, more int) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(t.Context(), "tcp", hub.Address)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(conn, "POST /metrics HTTP/1.1\r\nHost: %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
		hub.Address, len(body)+more)
	require.NoError(t, err)
	require.Equal(t, http.StatusContinue, readStatus(t, conn))
	_, err = conn.Write([]byte(body))
	require.NoError(t, err)
	return conn
}

// readStatus reads an answer and returns its status.
func readStatus(t *testing.T, conn net.Conn) int {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}
