package e2e

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/mortal"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// chaosSample is where a sample belongs.
type chaosSample struct {
	gateway string
	series  int
	at      int64
}

// account compares what controllers took with what is stored.
func (c *chaos) account() {
	t := c.t
	t.Helper()
	offered, taken := map[mortal.Entry]bool{}, map[mortal.Entry]bool{}
	for _, m := range c.controllers {
		o, k, err := mortal.ReadJournal(m.journal)
		require.NoError(t, err)
		for _, e := range o {
			require.False(t, offered[e], "%v was offered twice", e)
			offered[e] = true
		}
		for _, e := range k {
			taken[e] = true
		}
	}
	require.NotEmpty(t, taken)

	var stored map[chaosSample]int // by how many servers
	lost := 0
	eventually(t, 2*patience, func(ctx context.Context) error {
		var err error
		if stored, err = c.stored(ctx, offered); err != nil {
			return err
		}
		lost = 0
		for e := range taken {
			for n := range chaosSeries {
				switch {
				case stored[chaosSample{e.Gateway, n, e.At}] > 0:
				case c.mayBeLost(time.UnixMilli(e.At)):
					lost++
				default:
					return fmt.Errorf("series %d of %s lacks the sample of %s, %s after the beginning, which a Submit took",
						n, e.Gateway, time.UnixMilli(e.At).Format(time.StampMilli), time.UnixMilli(e.At).Sub(c.began))
				}
			}
		}
		return nil
	})
	twice := 0
	for _, servers := range stored {
		if servers > 1 {
			twice++
		}
	}
	t.Logf("%d samples were taken, %d are stored; %d died with hubs; %d more were offered to a Submit that did not return; %d are on several shards",
		len(taken)*chaosSeries, len(stored), lost, len(stored)+lost-len(taken)*chaosSeries, twice)
	c.requireSeenOnce(stored)
}

// stored returns what all servers have. It must have been offered so.
func (c *chaos) stored(ctx context.Context, offered map[mortal.Entry]bool) (map[chaosSample]int, error) {
	stored := map[chaosSample]int{}
	for _, client := range shardClients(c.Stack) {
		matrix, err := client.Matrix(ctx, c.selector())
		if err != nil {
			return nil, err
		}
		for _, stream := range matrix {
			s := chaosSample{gateway: string(stream.Metric["gatewayID"])}
			s.series, err = strconv.Atoi(string(stream.Metric["n"]))
			require.NoError(c.t, err)
			for _, pair := range stream.Values {
				s.at = int64(pair.Timestamp)
				require.True(c.t, offered[mortal.Entry{Gateway: s.gateway, At: s.at}], "%v is stored, and nobody offered it", s)
				require.InDelta(c.t, mortal.Value(s.at, s.series), float64(pair.Value), 0, "%v", s)
				stored[s]++
			}
		}
	}
	return stored, nil
}

// selector selects all samples of the run.
func (c *chaos) selector() string {
	return fmt.Sprintf("%s{networkID=%q}[%s]", mortal.Metric, mortal.Network, model.Duration(time.Since(c.began).Truncate(time.Minute)+2*time.Minute))
}

// handedOver is how long a sample may be on its way from Submit to a server that works.
const handedOver = 10 * time.Second

// mayBeLost says whether a sample of a time may have been on a hub that was killed, and on no server.
func (c *chaos) mayBeLost(at time.Time) bool {
	if hubsKeep {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.suffered {
		if isKillOfHub(s.kind) && at.Before(s.from.Add(time.Second)) && at.After(c.scrapedBeforeLocked(s.number, s.from).Add(-handedOver)) {
			return true
		}
	}
	return false
}

// scrapedBeforeLocked returns since when a hub may not have been scraped any more, at a moment.
func (c *chaos) scrapedBeforeLocked(hub int, moment time.Time) time.Time {
	for moved := true; moved; {
		moved = false
		for _, s := range c.suffered {
			keepsFrom := s.number == hub && (s.how().target == aServer || s.how().target == aScrape || s.how().target == aHub)
			if keepsFrom && s.from.Before(moment) && (s.to.IsZero() || s.to.After(moment.Add(-5*time.Second))) {
				moment, moved = s.from, true
			}
		}
	}
	return moment
}

// requireSeenOnce asks for all samples at once, over all shards.
func (c *chaos) requireSeenOnce(stored map[chaosSample]int) {
	t := c.t
	t.Helper()
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	program, err := stack.BuildHubquery(t.Context(), checkout, c.dir)
	require.NoError(t, err)
	q, err := c.StartHubquery(t.Context(), program, c.Shards)
	require.NoError(t, err)
	want := map[string]int{}
	for s := range stored {
		want[fmt.Sprint(s.gateway, " ", s.series)]++
	}
	seen, err := promapi.New(q.Address).Vector(t.Context(), "count_over_time("+c.selector()+")")
	require.NoError(t, err)
	got := map[string]int{}
	for _, s := range seen {
		got[fmt.Sprint(s.Metric["gatewayID"], " ", s.Metric["n"])] += int(s.Value)
	}
	if !maps.Equal(want, got) {
		for name, n := range want {
			require.Equal(t, n, got[name], "of series %s the query over all shards sees not each sample once", name)
		}
		require.Equal(t, want, got)
	}
}
