package scrapers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// url is the base of a server at an address.
func url(address string) string { return "http://" + address }

// oneServer starts a row whose hub asks the one server at an address, which the row has
// yet to start.
func oneServer(t *testing.T, asked bool, flags ...string) (r *row, cfg stack.ServerConfig) {
	t.Helper()
	cfg = stack.ServerConfig{Name: "prometheus", Address: freeAddress(t)}
	return startRow(t, asked, []string{url(cfg.Address)}, flags...), cfg
}

func TestNothingBreaks(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, job{interval: 4 * time.Second, timeout: time.Second})
		r.pushFor(6 * time.Second)
		if asked {
			r.requireAtOnce(stored(server))
		}
		r.settle()
		r.require(stored(server))
	})
}

// requireAtOnce waits until a server has all and requires that the hub knows it then,
// long before the next scrape tells it.
func (r *row) requireAtOnce(far func(context.Context) (arrivals, error)) {
	r.Helper()
	r.eventually(func(ctx context.Context) error {
		have, err := far(ctx)
		if err == nil && len(have.values) < len(r.sender.pushed) {
			err = fmt.Errorf("the server has %d of %d", len(have.values), len(r.sender.pushed))
		}
		return err
	})
	has := time.Now()
	r.eventually(func(ctx context.Context) error {
		pending, err := r.own(ctx, "edgehub_pending_samples", nil)
		if err == nil && pending > 0 {
			err = fmt.Errorf("%d samples are pending", pending)
		}
		return err
	})
	require.Less(r, time.Since(has), 2*time.Second)
}

func TestDiskFull(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		disk := r.mountDisk()
		cfg.Data = disk.path
		server := r.startServer(cfg, job{})
		r.pushFor(2 * time.Second)
		disk.fill(t)
		r.pushFor(10 * time.Second)
		disk.free(t)
		r.pushFor(2 * time.Second)
		r.settle()
		r.require(stored(server))
	})
}

func TestHalted(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, job{})
		r.pushFor(2 * time.Second)
		require.NoError(t, server.Process.Suspend(t.Context()))
		r.pushFor(10 * time.Second)
		require.NoError(t, server.Process.Resume())
		r.pushFor(2 * time.Second)
		r.settle()
		r.require(stored(server))
	})
}

func TestKilled(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, job{})
		for range 3 {
			r.pushFor(2 * time.Second)
			server.Kill()
			r.pushFor(time.Second)
			r.while(func() error { return r.restart(server) })
		}
		r.pushFor(2 * time.Second)
		r.settle()
		r.require(stored(server))
	})
}

// A network that stalls for longer than the scrape may take: the server gives up what the
// hub has handed over.
func TestNetworkStalls(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		net := r.startRelay(r.hub.Address)
		// Time enough for a busy machine, and less than the network stalls.
		server := r.startServer(cfg, job{target: net.address, interval: 2 * interval, timeout: 2 * interval})
		r.stallAndGo(net)
		r.settle()
		r.require(stored(server))
	})
}

// stallAndGo pushes while a network stalls and goes on by turns.
func (r *row) stallAndGo(net *relay) {
	r.Helper()
	for range 3 {
		r.pushFor(1500 * time.Millisecond)
		net.stall(true)
		r.pushFor(1500 * time.Millisecond)
		net.stall(false)
	}
	r.pushFor(1500 * time.Millisecond)
}

// A server that takes off the receipts is noticed, and then the connection has to do.
func TestReceiptsDropped(t *testing.T) {
	t.Parallel()
	t.Run("asked", func(t *testing.T) {
		r, cfg := oneServer(t, true)
		server := r.startServer(cfg, job{relabel: `      - {source_labels: [__name__], regex: edgehub_receipt, action: drop}
`})
		r.pushFor(10 * time.Second)
		r.settle()
		r.require(stored(server))
		require.Equal(t, 1, r.ownNow("edgehub_receipts_missing", nil))
		require.Regexp(t, `level=WARN .*receipt`, r.hub.Process.Log())
	})
}

// An agent stores nothing that could be asked for.
func TestAgent(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		far := startSink(t)
		config := job{}.config(r.hub.Address) + fmt.Sprintf(`remote_write: [{url: "%s/write", queue_config: {batch_send_deadline: 200ms}}]
`, far.url)
		r.run("agent", real(realbin.Prometheus), url(cfg.Address)+"/-/ready", "--agent", "--storage.agent.path="+t.TempDir(),
			"--config.file="+r.file("agent.yml", config), "--web.listen-address="+cfg.Address, "--scrape.discovery-reload-interval=200ms")
		r.pushFor(10 * time.Second)
		r.settle()
		r.require(far.received)
		if asked {
			require.Equal(t, 1, r.ownNow("edgehub_receipts_missing", nil))
		}
	})
}
