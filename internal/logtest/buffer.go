// Package logtest has the log of a test.
package logtest

import (
	"log/slog"
	"strings"
	"sync"
)

// Buffer is a log in memory. A goroutine of what is tested may write it while the test reads it, which a
// bytes.Buffer does not allow, not even where both happen at one instant of a bubble's clock. The zero value is
// ready to use.
type Buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Logger writes lines of every level to b, in slog's text form.
func (b *Buffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write appends to the log.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// String returns all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// Count returns how often a text was written.
func (b *Buffer) Count(text string) int { return strings.Count(b.String(), text) }
