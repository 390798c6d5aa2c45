// Package loglimit keeps logs short.
package loglimit

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// Limits logs what may happen often: a few lines of a kind, and then one every
// ten seconds, so that a fleet's worth of bad samples or a hub that comes and goes
// does not fill a disk. What is left out is in the metrics. All methods may be
// called from any goroutine.
type Limits struct {
	Logger *slog.Logger // for what is said seldom

	mu    sync.Mutex
	kinds map[string]*rate.Sometimes

	queue  chan logLine // what Submit has to say
	missed atomic.Int64 // lines that found no place there
}

// queuedLines is how many lines of Submit may wait for the logger.
const queuedLines = 64

// maxKinds bounds the memory for kinds, of which each hub is one.
const maxKinds = 10_000

// New returns limits of a logger.
func New(log *slog.Logger) *Limits {
	return &Limits{Logger: log, kinds: map[string]*rate.Sometimes{}, queue: make(chan logLine, queuedLines)}
}

// kind returns what limits the lines of a kind.
func (l *Limits) kind(name string) *rate.Sometimes {
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

// Log logs a line of any kind. It reports whether it was not left out.
func (l *Limits) Log(kind string, level slog.Level, msg string, attrs ...any) (logged bool) {
	l.kind(kind).Do(func() {
		l.Logger.Log(context.Background(), level, msg, attrs...)
		logged = true
	})
	return logged
}

// logLine is a line that is to be logged.
type logLine struct {
	msg   string
	attrs []any
}

// Later logs samples that Submit left out, when run gets to it: a logger may be slow, and Submit waits for
// nobody. Nothing else has kinds of these reasons, so that nobody logs while it holds one of their
// locks. It is asked for the line's attributes only if the line is wanted.
func (l *Limits) Later(why reason.Reason, msg string, attrs func() []any) {
	l.kind("dropped " + why.String()).Do(func() {
		select {
		case l.queue <- logLine{msg, attrs()}:
		default:
			l.missed.Add(1)
		}
	})
}

// Run logs what Submit has to say, until ctx ends and all of it is said.
func (l *Limits) Run(ctx context.Context) {
	for {
		select {
		case line := <-l.queue:
			l.write(line)
			continue
		default:
		}
		select {
		case line := <-l.queue:
			l.write(line)
		case <-ctx.Done():
			return
		}
	}
}

func (l *Limits) write(line logLine) {
	if missed := l.missed.Swap(0); missed > 0 {
		line.attrs = append(line.attrs, slog.Int64("lines_missed", missed))
	}
	l.Logger.Log(context.Background(), slog.LevelWarn, line.msg, line.attrs...)
}

// Dropped logs samples that were dropped.
func (l *Limits) Dropped(why reason.Reason, msg string, samples int, attrs ...any) {
	l.Log("dropped "+why.String(), slog.LevelWarn, msg,
		append([]any{slog.String("reason", why.String()), slog.Int("samples", samples)}, attrs...)...)
}

// Down logs that a hub is down. It reports whether the line was not left out.
func (l *Limits) Down(name, msg string, attrs ...any) (logged bool) {
	return l.Log("hub "+name, slog.LevelWarn, msg, append([]any{slog.String("hub", name)}, attrs...)...)
}
