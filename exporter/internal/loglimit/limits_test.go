package loglimit

import (
	"log/slog"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Kinds of log lines do not fill the memory.
func TestLogKindsAreBounded(t *testing.T) {
	l := New(slog.New(slog.DiscardHandler))
	for i := range maxKinds + 10 {
		l.kind(strconv.Itoa(i))
	}
	assert.LessOrEqual(t, len(l.kinds), maxKinds)
}
