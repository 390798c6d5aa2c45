package exporter

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// What is submitted as text goes where families of the same gateways go.
func TestTextGoesHome(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(4)
		h := start(t, f)
		h.submit(1, gateways(50)...)
		var text strings.Builder
		for _, id := range gateways(50) {
			fmt.Fprintf(&text, "as_text{gatewayID=%q} 1\n", id)
		}
		require.NoError(t, h.e.SubmitText(context.Background(), "gatewayID", []byte(text.String())))
		bubble.Pass(time.Second)
		require.NoError(t, h.stop())
		assert.Equal(t, 100, h.count("samples_delivered_total"))
		for name, hub := range f {
			families, texts := map[string]bool{}, map[string]bool{}
			for _, line := range hub.lines() {
				id := gatewaysOf([]string{line})[0]
				if strings.HasPrefix(line, "as_text") {
					texts[id] = true
				} else {
					families[id] = true
				}
			}
			assert.Equal(t, families, texts)
			for id := range families {
				home, ok := h.e.Home(id)
				assert.True(t, ok)
				assert.Equal(t, name, home.Name)
				assert.Equal(t, "http://"+name, home.URL)
			}
		}
	})
}

// A text is taken in whole or not at all.
func TestSubmitTextRefuses(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		err := h.e.SubmitText(context.Background(), "gatewayID", []byte("good 1\nbad\n"))
		require.ErrorIs(t, err, ErrMalformed)
		require.ErrorContains(t, err, "line 2")
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		require.ErrorIs(t, h.e.SubmitText(ended, "gatewayID", []byte("# HELP x\nx 1\n\nx 2\n")), context.Canceled)
		assert.Equal(t, 2, h.count("samples_dropped_total", "cancelled"))
		require.NoError(t, h.stop())
		require.ErrorIs(t, h.e.SubmitText(context.Background(), "gatewayID", []byte("x 1\n")), ErrClosed)
		assert.Equal(t, 1, h.count("samples_dropped_total", "closed"))
		assert.Zero(t, h.count("samples_submitted_total"))
	})
}
