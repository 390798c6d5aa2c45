package queue

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Logs in JSON say how many samples moved, and where to.
func TestMovesInJSONLogs(t *testing.T) {
	m := newMoves()
	m.add("hub-1", "a", 7)
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("Hub is down", "samples_moved", m)
	var line map[string]any
	require.NoError(t, json.Unmarshal(out.Bytes(), &line))
	assert.Equal(t, "hub-1: 7", line["samples_moved"])
}
