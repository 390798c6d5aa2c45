package exporter

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// logLimits logs what may happen often: a few lines of a kind, and then one every
// ten seconds, so that a fleet's worth of bad samples or a hub that comes and goes
// does not fill a disk. What is left out is in the metrics. All methods may be
// called from any goroutine.
type logLimits struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*rate.Sometimes
}

// maxKinds bounds the memory for kinds, of which each hub is one.
const maxKinds = 10_000

func newLogLimits(log *slog.Logger) *logLimits {
	return &logLimits{log: log, kinds: map[string]*rate.Sometimes{}}
}

// kind returns what limits the lines of a kind.
func (l *logLimits) kind(name string) *rate.Sometimes {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.kinds[name]
	if !ok {
		if len(l.kinds) >= maxKinds {
			clear(l.kinds)
		}
		s = &rate.Sometimes{First: 5, Interval: 10 * time.Second}
		l.kinds[name] = s
	}
	return s
}

// other logs a line of any kind. It reports whether it was not left out.
func (l *logLimits) other(kind string, level slog.Level, msg string, attrs ...any) (logged bool) {
	l.kind(kind).Do(func() {
		l.log.Log(context.Background(), level, msg, attrs...)
		logged = true
	})
	return logged
}

// dropped logs samples that were dropped.
func (l *logLimits) dropped(why reason, msg string, samples int, attrs ...any) {
	l.other("dropped "+why.String(), slog.LevelWarn, msg,
		append([]any{slog.String("reason", why.String()), slog.Int("samples", samples)}, attrs...)...)
}

// down logs that a hub is down. It reports whether the line was not left out.
func (l *logLimits) down(name, msg string, attrs ...any) (logged bool) {
	return l.other("hub "+name, slog.LevelWarn, msg, append([]any{slog.String("hub", name)}, attrs...)...)
}
