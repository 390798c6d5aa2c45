package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/members"
)

// A controller restarts while no hub is there. What it leaves on disk the next
// one sends, once, and before what came later.
func TestExporterRestart(t *testing.T) {
	t.Parallel()
	s := onlyHubs(t, 2)
	for _, sh := range s.Shards {
		sh.Hub.Kill()
	}
	cfg := exporter.Config{Hubs: hubs(s), SpoolDir: filepath.Join(t.TempDir(), "spool"), FlushTimeout: 300 * time.Millisecond}
	first := startController(t, cfg)
	l := newLoad("restart", 50, loadFamilies, 250*time.Millisecond)
	began := time.Now()
	l.start(t, first.Exporter)
	sleepUntil(t, began.Add(1500*time.Millisecond))
	l.stop(t)
	require.NoError(t, first.stop(), "samples are lost")
	left := l.samples()
	require.Positive(t, left)
	require.Empty(t, traffic(first.tap.Pushes()).acknowledged())

	for _, sh := range s.Shards {
		require.NoError(t, sh.Hub.Restart(t.Context()))
	}
	cfg.FlushTimeout = 0
	second := startController(t, cfg)
	l.start(t, second.Exporter)
	sleepUntil(t, time.Now().Add(time.Second))
	l.stop(t)
	second.awaitEmpty(t)
	require.Equal(t, left, second.metric(t, "samples_restored_total", nil))
	require.NoError(t, second.stop())
	sent := traffic(second.tap.Pushes())
	sent.requireOnce(t, l)
	for _, sh := range s.Shards {
		sent.requireReceived(t, sh.Hub, began)
	}

	third := startController(t, cfg)
	require.NoError(t, third.stop())
	require.Zero(t, third.metric(t, "samples_restored_total", nil), "what was delivered is on disk still")
	t.Logf("%d samples were left on disk, and arrived once with the %d that came later", left, l.samples()-left)
}

// A gateway floods a hub until that takes no more of it. Its neighbours, whose
// samples share its requests, are not held up, and the hub stays up.
func TestExporterFloodingGateway(t *testing.T) {
	t.Parallel()
	s := onlyHubs(t, 2, "--limit.samples=40000")
	c := startController(t, exporter.Config{Hubs: hubs(s)})
	neighbours := newLoad("neighbour", 40, loadFamilies, 500*time.Millisecond)
	flood := newLoad("flood", 1, 400, 250*time.Millisecond)
	neighbours.start(t, c.Exporter)
	flood.start(t, c.Exporter)
	crowded := func() int { return c.metric(t, "pushes_total", map[string]string{"outcome": "crowded"}) }
	eventually(t, patience, func(context.Context) error {
		if crowded() == 0 {
			return fmt.Errorf("the flood of %d samples is not refused", flood.samples())
		}
		return nil
	})
	sleepUntil(t, time.Now().Add(time.Second))
	neighbours.stop(t)
	flood.stop(t)
	eventually(t, patience, func(context.Context) error {
		if got := traffic(c.tap.Pushes()).acknowledged().of(t, neighbours); got != neighbours.samples() {
			return fmt.Errorf("%d of the neighbours' %d samples have arrived", got, neighbours.samples())
		}
		return nil
	})
	waiting := c.metric(t, "queue_samples", nil)
	require.Equal(t, flood.samples()-traffic(c.tap.Pushes()).acknowledged().of(t, flood), waiting)
	require.Positive(t, waiting, "the flood arrived, too")
	age := traffic(c.tap.Pushes()).oldest(t, neighbours)

	eventually(t, patience, func(ctx context.Context) error {
		for _, sh := range s.Shards {
			if _, err := fetch(ctx, sh.Hub.URL()+"/metrics?drain=1"); err != nil {
				return err
			}
		}
		if n := c.metric(t, "queue_samples", nil); n > 0 {
			return fmt.Errorf("%d samples of the flood wait, although there is room", n)
		}
		return nil
	})
	require.NoError(t, c.stop())
	sent := traffic(c.tap.Pushes())
	sent.requireOnce(t, neighbours, flood)
	sent.homes(t)
	require.Zero(t, c.metric(t, "pushes_total", map[string]string{"outcome": "failed"}))
	require.Zero(t, c.metric(t, "samples_dropped_total", nil))
	require.Zero(t, c.metric(t, "samples_rerouted_total", nil))
	t.Logf("%d requests were refused for the flood; the neighbours' %d samples arrived within %s, %d of the flood's %d waited",
		crowded(), neighbours.samples(), age.Round(time.Millisecond), waiting, flood.samples())
}

// A fourth hub joins and leaves under load, by a change of the file that names
// them. A quarter of the gateways moves to it and back, and nothing else does.
func TestExporterFileMembership(t *testing.T) {
	t.Parallel()
	s := onlyHubs(t, 4)
	path := filepath.Join(t.TempDir(), "hubs.json")
	nameHubs(t, path, s.Shards[:3])
	c := startController(t, exporter.Config{
		Members: members.File{Path: path}, MembersInterval: 200 * time.Millisecond, MembersHold: 400 * time.Millisecond,
	})
	l := newLoad("member", fleetSize, loadFamilies, fleetReports)
	began := time.Now()
	l.start(t, c.Exporter)
	sleepUntil(t, began.Add(3*time.Second))
	nameHubs(t, path, s.Shards)
	sleepUntil(t, time.Now().Add(4*time.Second))
	require.Equal(t, 4, c.metric(t, "ring_hubs", nil))
	nameHubs(t, path, s.Shards[:3])
	sleepUntil(t, time.Now().Add(4*time.Second))
	require.Equal(t, 3, c.metric(t, "ring_hubs", nil))
	l.stop(t)
	c.awaitEmpty(t)
	require.NoError(t, c.stop())

	sent := traffic(c.tap.Pushes())
	sent.requireOnce(t, l)
	require.Equal(t, l.samples(), c.metric(t, "samples_sent_total", nil), "samples were sent twice")
	for _, sh := range s.Shards {
		sent.requireReceived(t, sh.Hub, began)
	}
	fourth, moved := s.Shards[3].Hub.Address, 0
	for id, way := range sent.ways(t) {
		if len(way) == 1 && way[0] != fourth {
			continue
		}
		require.Equal(t, []string{way[0], fourth, way[0]}, way, "the hubs of %s, one after the other", id)
		moved++
	}
	share := float64(moved) / fleetSize
	t.Logf("%d of %d gateways (%.0f %%) moved to the fourth hub and back; each of %d samples was sent once", moved, fleetSize, 100*share, l.samples())
	require.InDelta(t, 0.25, share, 0.1)
}

// nameHubs writes a file that names hubs, and puts it in the place of the old one.
func nameHubs(t *testing.T, path string, shards []*stack.Shard) {
	t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	var groups []group
	for _, sh := range shards {
		groups = append(groups, group{[]string{sh.Hub.Address}, map[string]string{"name": sh.Hub.Name}})
	}
	text, err := json.Marshal(groups)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+".new", text, 0o644))
	require.NoError(t, os.Rename(path+".new", path))
}

// ways returns the hubs that took each gateway's samples, one after the other.
func (w traffic) ways(t *testing.T) map[string][]string {
	t.Helper()
	ways := map[string][]string{}
	for _, p := range w.acknowledged() {
		for _, l := range lines(t, p) {
			if way := ways[l.Gateway]; len(way) == 0 || way[len(way)-1] != p.Hub {
				ways[l.Gateway] = append(way, p.Hub)
			}
		}
	}
	return ways
}

// of returns how many samples are of a load.
func (w traffic) of(t *testing.T, l *load) int {
	t.Helper()
	n := 0
	for _, p := range w {
		for _, line := range lines(t, p) {
			if l.has(line.Gateway) {
				n++
			}
		}
	}
	return n
}
