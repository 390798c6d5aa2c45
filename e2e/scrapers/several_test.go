package scrapers

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
)

// Each server of a pair has a cursor, and its own server to be asked. One of them is
// down for a while, the other one is halted.
func TestPair(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		a := stack.ServerConfig{Name: "a", Address: freeAddress(t)}
		b := stack.ServerConfig{Name: "b", Address: freeAddress(t)}
		r := startRow(t, asked, []string{"a=" + url(a.Address), "b=" + url(b.Address)}, "--scrape.cursor=a", "--scrape.cursor=b")
		one := r.startServer(a, job{extra: "    params: {cursor: [a]}\n"})
		two := r.startServer(b, job{extra: "    params: {cursor: [b]}\n"})
		r.pushFor(2 * time.Second)
		one.Kill()
		require.NoError(t, two.Process.Suspend(t.Context()))
		r.pushFor(4 * time.Second)
		require.NoError(t, two.Process.Resume())
		r.while(func() error { return r.restart(one) })
		r.pushFor(2 * time.Second)
		r.settle()
		r.require(stored(one))
		r.require(stored(two))
	})
}

// inParts are the targets and the relabelling of a hub that is scraped in so many parts.
func inParts(parts int) job {
	var targets []string
	for i := range parts {
		targets = append(targets, fmt.Sprintf("%q", fmt.Sprintf("HUB#%d", i+1)))
	}
	return job{
		targets: "[{targets: [" + strings.Join(targets, ", ") + "]}]",
		extra: fmt.Sprintf(`    params: {parts: ["%d"]}
    relabel_configs:
      - {source_labels: [__address__], target_label: instance}
      - {source_labels: [__address__], regex: ".+#(.+)", target_label: __param_part}
      - {source_labels: [__address__], regex: "(.+)#.+", target_label: __address__}
`, parts),
	}
}

// The parts of a hub in one job share a transport: where their scrapes overlap, each may
// get the connection on which another one had its last response. A slow network makes
// them overlap.
func TestPartsOverlap(t *testing.T) {
	both(t, func(t *testing.T, asked bool) {
		r, cfg := oneServer(t, asked)
		server := r.startServer(cfg, inParts(6))
		r.pushFor(3 * time.Second)
		require.NoError(t, server.Process.Suspend(t.Context()))
		r.pushFor(2 * time.Second)
		require.NoError(t, server.Process.Resume())
		r.pushFor(3 * time.Second)
		r.settle()
		r.require(stored(server))
	})
}

// Two servers of two hosts on one cursor: the one that the hub asks has all. Where none is asked the
// hub cannot give both of them everything, and says so.
func TestTwoOnOneCursor(t *testing.T) {
	both(t, func(t *testing.T, asked bool) { twoOnOne(t, asked, job{}, job{}) })
}

// The same where they disagree on the number of parts.
func TestTwoOnOneCursorInOtherParts(t *testing.T) {
	both(t, func(t *testing.T, asked bool) { twoOnOne(t, asked, inParts(2), inParts(3)) })
}

func twoOnOne(t *testing.T, asked bool, first, second job) {
	r, cfg := oneServer(t, asked)
	one := r.startServer(cfg, first)
	second.target = r.startRelayFrom(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}, r.hub.Address).address
	two := r.startServer(stack.ServerConfig{Name: "second"}, second)
	r.pushFor(8 * time.Second)
	r.settle()
	require.Positive(t, r.ownNow("edgehub_scraper_conflicts_total", nil))
	require.Regexp(t, `level=WARN .*cursor`, r.hub.Process.Log())
	if asked {
		r.require(stored(one))
		return
	}
	r.require(func(ctx context.Context) (arrivals, error) { return together(ctx, one, two) })
}

// together is what two servers have.
func together(ctx context.Context, servers ...*stack.Server) (arrivals, error) {
	var all arrivals
	for _, server := range servers {
		got, err := stored(server)(ctx)
		if err != nil {
			return all, err
		}
		total := all.total + got.total
		for id, value := range got.values {
			if err := all.add(id, value); err != nil {
				return all, err
			}
		}
		all.total = total
	}
	return all, nil
}
