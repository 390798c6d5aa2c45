package e2e

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// pushes are a test's own pushes to a hub, without an exporter that would keep
// what is refused, and a ledger of what was taken.
type pushes struct {
	hub     *stack.Hub
	name    string // begins the gateways' IDs
	at      int64  // the time of the last push, in milliseconds; each has its own
	taken   []pushed
	refused int // pushes
}

// pushed is a sample that was pushed. Its value is the number of its series.
type pushed struct {
	gateway string
	series  int
	at      int64
}

func newPushes(hub *stack.Hub, name string) *pushes {
	return &pushes{hub: hub, name: name, at: time.Now().Add(-time.Minute).UnixMilli()}
}

// push pushes one sample of each of so many series of a gateway, and says
// whether the hub took them. If not, it must have said that it is full.
func (p *pushes) push(t *testing.T, gateway, series int) bool {
	t.Helper()
	p.at++
	id := fmt.Sprintf("%s-%02d", p.name, gateway)
	var body strings.Builder
	var batch []pushed
	for i := range series {
		fmt.Fprintf(&body, "pushed{gatewayID=%q,n=\"%d\"} %d %d\n", id, i, i, p.at)
		batch = append(batch, pushed{id, i, p.at})
	}
	status, answer, err := push(t.Context(), p.hub, []byte(body.String()))
	require.NoError(t, err)
	if status == http.StatusTooManyRequests {
		p.refused++
		return false
	}
	require.Equal(t, http.StatusOK, status, answer)
	p.taken = append(p.taken, batch...)
	return true
}

// awaitStored waits until a server lacks no more than so many of the samples
// that were taken, and returns which, in the order in which they were pushed.
// It must have nothing else.
func (p *pushes) awaitStored(t *testing.T, server *stack.Server, lacks int) (missing []pushed) {
	t.Helper()
	awaitDrained(t, p.hub)
	client := promapi.New(server.Address)
	var stored map[pushed]bool
	eventually(t, patience, func(ctx context.Context) error {
		var err error
		if stored, err = p.stored(ctx, client); err != nil {
			return err
		}
		missing = nil
		for _, s := range p.taken {
			if !stored[s] {
				missing = append(missing, s)
			}
		}
		if len(missing) > lacks {
			return fmt.Errorf("%d samples are missing, not %d, such as %v", len(missing), lacks, missing[len(missing)-1])
		}
		return nil
	})
	require.Len(t, stored, len(p.taken)-len(missing), "it has samples that were not taken")
	return missing
}

// stored returns the samples that a server has.
func (p *pushes) stored(ctx context.Context, client *promapi.Client) (map[pushed]bool, error) {
	query := fmt.Sprintf(`pushed{gatewayID=~"%s-.+"}[10m]`, p.name)
	matrix, err := client.Matrix(ctx, query)
	if err != nil {
		return nil, err
	}
	all := map[pushed]bool{}
	for _, stream := range matrix {
		series, err := strconv.Atoi(string(stream.Metric["n"]))
		if err != nil || len(stream.Metric) != 3 {
			return nil, fmt.Errorf("a series that was not pushed: %v", stream.Metric)
		}
		for _, pair := range stream.Values {
			if float64(pair.Value) != float64(series) {
				return nil, fmt.Errorf("a wrong value of %v: %v", stream.Metric, pair)
			}
			all[pushed{string(stream.Metric["gatewayID"]), series, int64(pair.Timestamp)}] = true
		}
	}
	return all, nil
}
