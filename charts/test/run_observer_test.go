//go:build linux

package charttest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// observer asks how many gateways there are, again and again.
type observer struct {
	mu      sync.Mutex
	answers []observation
}

// observation is what a querier said.
type observation struct {
	at       time.Time // when it was asked
	took     time.Duration
	count    float64
	sum      float64
	warnings []string
	err      error
}

func (a observation) String() string {
	return fmt.Sprintf("%s: count %v, sum %v, after %s, %q, %v", a.at.UTC().Format("15:04:05.000"), a.count, a.sum, a.took.Round(time.Millisecond), a.warnings, a.err)
}

// observe asks until the test ends.
func observe(t *testing.T, q queries) *observer {
	t.Helper()
	o := &observer{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			o.ask(ctx, q)
			<-tick.C
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return o
}

func (o *observer) ask(ctx context.Context, q queries) {
	a := observation{at: time.Now()}
	a.count, a.warnings, a.err = q.value(ctx, "count(gateway_up)")
	if a.err == nil {
		var more []string // a server may have ended since
		a.sum, more, a.err = q.value(ctx, "sum(gateway_up)")
		a.warnings = append(a.warnings, more...)
	}
	a.took = time.Since(a.at)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answers = append(o.answers, a)
}

// take returns the answers since it was called last.
func (o *observer) take() []observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := o.answers
	o.answers = nil
	return taken
}

// complete tells whether every gateway was counted once. There may be a warning: of a server that is named and not
// up yet, and has nothing.
func (a observation) complete(truth float64) bool {
	return a.count == truth && a.sum == truth && a.err == nil
}

// assertNeverMore fails the test if an answer counted something twice.
func assertNeverMore(t *testing.T, answers []observation, truth float64) {
	t.Helper()
	assertEach(t, answers, "something counted twice", func(a observation) bool { return a.count <= truth && a.sum <= truth })
}

// assertHonest fails the test if an answer counted something twice, or not everything without saying so.
func assertHonest(t *testing.T, answers []observation, truth float64) {
	t.Helper()
	assertNeverMore(t, answers, truth)
	assertEach(t, answers, "a part without a warning", func(a observation) bool {
		return a.complete(truth) || len(a.warnings) > 0 || a.err != nil
	})
}

// assertComplete fails the test if an answer did not count every gateway once.
func assertComplete(t *testing.T, answers []observation, truth float64) {
	t.Helper()
	assertEach(t, answers, "not all, or twice", func(a observation) bool { return a.complete(truth) })
}

// assertEach fails the test at the first answer that is wrong, or if there is none.
func assertEach(t *testing.T, answers []observation, wrong string, right func(observation) bool) {
	t.Helper()
	assert.NotEmpty(t, answers, "the querier was not asked")
	for i, a := range answers {
		if !right(a) {
			assert.Fail(t, wrong, "answer %d of %d: %s", i+1, len(answers), a)
			return
		}
	}
}
