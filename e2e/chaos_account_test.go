package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/link"
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
	acked := map[mortal.Entry][]mortal.Ack{}
	for _, m := range c.controllers {
		j, err := mortal.ReadJournal(m.journal)
		require.NoError(t, err)
		for _, e := range j.Offered {
			require.False(t, offered[e], "%v was offered twice", e)
			offered[e] = true
		}
		for _, e := range j.Taken {
			taken[e] = true
		}
		for _, a := range j.Acked {
			acked[a.Entry] = append(acked[a.Entry], a)
		}
	}
	require.NotEmpty(t, taken)

	var stored map[chaosSample]int // by how many servers
	eventually(t, 2*patience, func(ctx context.Context) error {
		var err error
		if stored, err = c.stored(ctx, offered); err != nil {
			return err
		}
		var missing []chaosSample
		for e := range taken {
			for n := range chaosSeries {
				if s := (chaosSample{e.Gateway, n, e.At}); stored[s] == 0 {
					missing = append(missing, s)
				}
			}
		}
		if len(missing) > 0 {
			return fmt.Errorf("%d samples are missing that a Submit took: %s", len(missing), c.describe(missing, acked))
		}
		return nil
	})
	twice := 0
	for _, servers := range stored {
		if servers > 1 {
			twice++
		}
	}
	t.Logf("%d samples were taken, and all are stored; %d more that were offered to a Submit which did not return; %d are on several shards",
		len(taken)*chaosSeries, len(stored)-len(taken)*chaosSeries, twice)
	c.requireSeenOnce(stored)
}

// describe says which samples these are, and what failed at the time of the first.
func (c *chaos) describe(missing []chaosSample, acked map[mortal.Entry][]mortal.Ack) string {
	byReport := map[mortal.Entry]int{}
	for _, s := range missing {
		byReport[mortal.Entry{Gateway: s.gateway, At: s.at}]++
	}
	reports := slices.SortedFunc(maps.Keys(byReport), func(a, b mortal.Entry) int { return cmp.Compare(a.At, b.At) })
	var text strings.Builder
	for _, r := range reports[:min(10, len(reports))] {
		fmt.Fprintf(&text, "\n%d of %s, %s after the beginning", byReport[r], r.Gateway, time.UnixMilli(r.At).Sub(c.began))
		for _, a := range acked[r] {
			fmt.Fprintf(&text, ", hub %d acknowledged it at %s", c.hubAt(a.Hub), time.UnixMilli(a.When).Sub(c.began))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.suffered {
		if d := s.from.Sub(time.UnixMilli(reports[0].At)); d.Abs() < time.Minute {
			fmt.Fprintf(&text, "\n%s from %s to %s", s, s.from.Sub(c.began), s.to.Sub(c.began))
		}
	}
	return text.String()
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

// hubAt returns the number of the hub to which an address leads.
func (c *chaos) hubAt(address string) int {
	return slices.IndexFunc(c.pushes, func(l *link.Link) bool { return l.Address == address })
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
