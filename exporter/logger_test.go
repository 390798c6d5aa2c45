package exporter

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

// blockedHandler is a slog.Handler that writes when it is let.
type blockedHandler struct {
	slog.Handler
	let chan struct{}
}

func (h blockedHandler) Handle(ctx context.Context, r slog.Record) error {
	<-h.let
	return h.Handler.Handle(ctx, r)
}

// A logger that hangs keeps no Submit waiting. What it missed is counted.
func TestSubmitDoesNotWaitForTheLogger(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f, log, let := newFleet(1), &logtest.Buffer{}, make(chan struct{})
		h := start(t, f, func(c *Config) {
			c.Logger = slog.New(blockedHandler{slog.NewTextHandler(log, nil), let})
		})
		for range 640 { // of a kind no more than one in ten seconds is wanted
			var rejected *RejectedError
			require.ErrorAs(t, h.e.Submit(t.Context(), []magma.MetricAndContext{{Family: nil}}), &rejected)
			bubble.Pass(10 * time.Second)
		}
		close(let)
		bubble.Pass(time.Second)
		assert.Contains(t, log.String(), "Samples cannot be sent")
		assert.Contains(t, log.String(), "lines_missed=")
		require.NoError(t, h.stop())
	})
}
