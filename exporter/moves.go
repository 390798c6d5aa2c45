package exporter

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// moves says what a change of hubs moved, for a log line.
type moves struct {
	to   map[string]int // hub to samples
	keys []string       // the gateways
}

func newMoves() *moves { return &moves{to: map[string]int{}} }

func (m *moves) add(hub, key string, samples int) {
	if key == "" {
		key = "(none)"
	}
	m.to[hub] += samples
	m.keys = append(m.keys, key)
}

// String says how many samples went to which hub.
func (m *moves) String() string {
	if len(m.to) == 0 {
		return "none"
	}
	parts := make([]string, 0, len(m.to))
	for _, hub := range slices.Sorted(maps.Keys(m.to)) {
		parts = append(parts, fmt.Sprintf("%s: %d", hub, m.to[hub]))
	}
	return strings.Join(parts, ", ")
}

// LogValue implements slog.LogValuer: loggers that write JSON ask no String.
func (m *moves) LogValue() slog.Value { return slog.StringValue(m.String()) }

// who names a few of the gateways, and says how many there are.
func (m *moves) who() string {
	const few = 5
	slices.Sort(m.keys)
	m.keys = slices.Compact(m.keys)
	if len(m.keys) <= few {
		return strings.Join(m.keys, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(m.keys[:few], ", "), len(m.keys)-few)
}
