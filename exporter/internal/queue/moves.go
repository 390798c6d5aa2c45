package queue

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
)

// Moves says what a change of hubs moved, for a log line. A nil one is not told.
type Moves struct {
	to       map[string]int // hub to samples
	few      []string       // of the gateways
	gateways int
	last     string
}

// fewMoves is how many gateways are named.
const fewMoves = 5

func newMoves() *Moves { return &Moves{to: map[string]int{}} }

// add notes that a gateway's samples moved. Those of one are added one after the other.
func (m *Moves) add(hub, key string, samples int) {
	if m == nil {
		return
	}
	if key == "" {
		key = "(none)"
	}
	m.to[hub] += samples
	if m.gateways > 0 && key == m.last {
		return
	}
	m.gateways++
	m.last = key
	if len(m.few) < fewMoves {
		m.few = append(m.few, key)
	}
}

// None reports whether nothing moved.
func (m *Moves) None() bool { return len(m.to) == 0 }

// String says how many samples went to which hub.
func (m *Moves) String() string {
	if m.None() {
		return "none"
	}
	parts := make([]string, 0, len(m.to))
	for _, hub := range slices.Sorted(maps.Keys(m.to)) {
		parts = append(parts, fmt.Sprintf("%s: %d", hub, m.to[hub]))
	}
	return strings.Join(parts, ", ")
}

// LogValue implements slog.LogValuer: loggers that write JSON ask no String.
func (m *Moves) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Who names a few of the gateways, and says how many there are.
func (m *Moves) Who() string {
	slices.Sort(m.few)
	named := strings.Join(m.few, ", ")
	if more := m.gateways - len(m.few); more > 0 {
		return fmt.Sprintf("%s and %d more", named, more)
	}
	return named
}
