package handover

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNextScrapeOnTheConnectionTells(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		assert.Equal(t, "scrape 1\n", p.scrape("/a"))
		h.undecided()
		assert.Equal(t, "scrape 2\n", p.scrape("/a"))
		h.becomes("1 taken")
		h.undecided()
	})
}

func TestOrderlyEndTells(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		p.scrape("/a")
		require.NoError(t, p.Close())
		h.becomes("1 taken")
	})
}

func TestConnectionClose(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		p := h.dial()
		p.scrape("/a", "Connection: close")
		require.NoError(t, p.Close())
		h.becomes("1 taken")
	})
}
