package exporter

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// startBackground returns an exporter of Start over f.
func startBackground(t *testing.T, f fleet) *Exporter {
	t.Helper()
	e, err := Start(Config{Hubs: f.hubs(), Transport: f, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	return e
}

// What was submitted right before a stop arrives.
func TestCloseDelivers(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		e := startBackground(t, f)
		ctx := context.Background()
		require.NoError(t, e.Submit(ctx, reports(1, gateways(20)...)))
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() { assert.NoError(t, e.Close(ctx)) })
		}
		all.Wait()
		assert.Len(t, append(f["hub-0"].lines(), f["hub-1"].lines()...), 20)
		assert.ErrorIs(t, e.Submit(ctx, reports(2, "a")), ErrClosed)
		assert.ErrorContains(t, e.Run(ctx), "the exporter is Start's")
	})
}

// Close says what it could not deliver within FlushTimeout, or before its context ended.
func TestCloseSaysWhatIsLost(t *testing.T) {
	ends := func(after time.Duration) {
		t.Helper()
		virtual(t, func(t *testing.T) {
			f := newFleet(1)
			f["hub-0"].kill()
			e := startBackground(t, f)
			require.NoError(t, e.Submit(context.Background(), reports(1, gateways(3)...)))
			ctx, cancel := context.WithTimeout(context.Background(), after)
			defer cancel()
			began := time.Now()
			err := e.Close(ctx)
			assert.Equal(t, min(after, DefaultFlushTimeout), time.Since(began))
			lost, ok := errors.AsType[*UndeliveredError](err)
			require.True(t, ok, "%v", err)
			assert.Equal(t, 3, lost.Samples)
			assert.Equal(t, err, e.Close(context.Background()))
		})
	}
	ends(2 * time.Second)
	ends(time.Hour)
}

func TestStartAndCloseRefuse(t *testing.T) {
	_, err := Start(Config{})
	assert.ErrorContains(t, err, "Hubs is empty")
	e, err := New(Config{Hubs: []Hub{{URL: "http://hub"}}})
	require.NoError(t, err)
	assert.ErrorContains(t, e.Close(context.Background()), "is for an exporter of Start")
}
