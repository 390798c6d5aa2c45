package roster

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/logtest"
)

// membershipFunc says who the hubs are; it is given the number of the lookup, from 0.
type membershipFunc struct {
	start  time.Time
	answer func(ctx context.Context, n int) ([]members.Hub, error)

	mu    sync.Mutex
	times []time.Duration // of the lookups, since the start
}

func (m *membershipFunc) Hubs(ctx context.Context) ([]members.Hub, error) {
	m.mu.Lock()
	n := len(m.times)
	m.times = append(m.times, time.Since(m.start))
	m.mu.Unlock()
	return m.answer(ctx, n)
}

func (m *membershipFunc) asked() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.times)
}

// answers gives one answer after the other, the last one for ever: names with
// spaces between them, hubs or an error.
func answers(steps ...any) func(context.Context, int) ([]members.Hub, error) {
	return func(_ context.Context, n int) ([]members.Hub, error) {
		switch step := steps[min(n, len(steps)-1)].(type) {
		case error:
			return nil, step
		case []members.Hub:
			return step, nil
		default:
			return hubsNamed(strings.Fields(step.(string))...), nil
		}
	}
}

func hubsNamed(names ...string) []members.Hub {
	hubs := make([]members.Hub, len(names))
	for i, name := range names {
		hubs[i] = members.Hub{Name: name, URL: "http://" + name + ":9091"}
	}
	return hubs
}

func namesOf(hubs []members.Hub) string {
	names := make([]string, len(hubs))
	for i, h := range hubs {
		names[i] = h.Name
	}
	return strings.Join(names, " ")
}

// watched is a watcher at work.
type watched struct {
	*Watcher
	source *membershipFunc
	log    logtest.Buffer
	stop   func() // returns when run has

	mu    sync.Mutex
	calls []applyCall
}

type applyCall struct {
	at   time.Duration // since the start
	hubs []members.Hub
}

// applied returns the names of each call of apply.
func (s *watched) applied() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, c := range s.calls {
		names = append(names, namesOf(c.hubs))
	}
	return names
}

// last returns the last call of apply.
func (s *watched) last() applyCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[len(s.calls)-1]
}

// watch runs a watcher with the default times. Use it in virtual time.
func watch(t *testing.T, answer func(context.Context, int) ([]members.Hub, error)) *watched {
	t.Helper()
	return watchRefusing(t, answer, func([]members.Hub) error { return nil })
}

// watchRefusing is watch with an apply that may return errors.
func watchRefusing(t *testing.T, answer func(context.Context, int) ([]members.Hub, error), refuse func(hubs []members.Hub) error) *watched {
	t.Helper()
	s := &watched{source: &membershipFunc{start: time.Now(), answer: answer}}
	s.Watcher = New(s.source.Hubs, Settings{
		Interval: 10 * time.Second,
		Timeout:  membersTimeout,
		Hold:     time.Minute,
		Log:      s.log.Logger(),
		Random:   rand.Int64N,
		Takes:    idle,
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var busy atomic.Bool
	go func() {
		defer close(ended)
		s.Run(ctx, func(hubs []members.Hub) error {
			assert.False(t, busy.Swap(true), "apply is called while it is called")
			defer busy.Store(false)
			if err := refuse(hubs); err != nil {
				return err
			}
			s.mu.Lock()
			s.calls = append(s.calls, applyCall{time.Since(s.source.start), slices.Clone(hubs)})
			s.mu.Unlock()
			clear(hubs) // they are apply's
			return nil
		})
	}()
	s.stop = func() {
		cancel()
		<-ended
	}
	synctest.Wait()
	return s
}

// lookups lets time pass until the source was asked n times in all.
func (s *watched) lookups(n int) {
	for len(s.source.asked()) < n {
		bubble.Pass(100 * time.Millisecond)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}

// virtual runs a test in virtual time.
func virtual(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
