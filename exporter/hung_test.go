package exporter

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// hungGatherer gives nothing until it is let go.
type hungGatherer struct{ let chan struct{} }

func (g hungGatherer) Gather() ([]*dto.MetricFamily, error) {
	<-g.let
	return nil, nil
}

// hungMembers answers once, and then ignores its context until it is let go.
type hungMembers struct {
	hubs []Hub
	let  chan struct{}
	n    int
}

func (m *hungMembers) Hubs(context.Context) ([]Hub, error) {
	if m.n++; m.n > 1 {
		<-m.let
		return nil, errors.New("too late")
	}
	return m.hubs, nil
}

// A source that hangs, the embedder's own, does not keep Run from flushing, nor
// Submit from refusing.
func TestRunFlushesWhateverItsSourcesDo(t *testing.T) {
	for name, hang := range map[string]func(c *Config, let chan struct{}){
		"Gather": func(c *Config, let chan struct{}) {
			c.Gather = []Gather{{Gatherer: prometheus.Gatherer(hungGatherer{let}), Interval: time.Second}}
		},
		"Members": func(c *Config, let chan struct{}) {
			c.Members, c.Hubs = &hungMembers{hubs: c.Hubs, let: let}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				f := newFleet(2)
				let := make(chan struct{})
				h := start(t, f, func(c *Config) { c.BatchWait = time.Hour; hang(c, let) })
				bubble.Pass(time.Minute)
				h.submit(1, gateways(10)...)
				h.cancel()
				bubble.Pass(DefaultFlushTimeout)
				assert.Equal(t, 10, h.count("samples_delivered_total"))
				assert.ErrorIs(t, h.e.Submit(context.Background(), reports(2, "a")), ErrClosed)
				close(let)
				require.NoError(t, <-h.ended)
			})
		})
	}
}
