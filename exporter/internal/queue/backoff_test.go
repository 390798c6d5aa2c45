package queue

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBackoff(t *testing.T) {
	within := func(n int, most time.Duration) {
		t.Helper()
		seen := map[time.Duration]bool{}
		for range 200 {
			d := backoff(n, 250*time.Millisecond, 10*time.Second, rand.Int64N)
			assert.LessOrEqual(t, d, most)
			assert.GreaterOrEqual(t, d, most/2)
			seen[d] = true
		}
		assert.Greater(t, len(seen), 100, "jitter")
	}
	within(0, 250*time.Millisecond)
	within(1, 250*time.Millisecond)
	within(2, 500*time.Millisecond)
	within(6, 8*time.Second)
	within(7, 10*time.Second)
	within(1_000_000, 10*time.Second)
	assert.Positive(t, backoff(1, 1, 1, rand.Int64N))
}
