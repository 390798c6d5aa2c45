package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every size has a class, of which at most a fifth is unused, and classes follow
// each other without a gap.
func TestSizeClasses(t *testing.T) {
	last, lastSize := sizeClass(0)
	require.Zero(t, last)
	for n := 1; n <= 1<<maxBufferBits; n++ {
		pool, size := sizeClass(n)
		if pool != last {
			require.Equal(t, lastSize+1, n, "the class before is full")
			require.Equal(t, last+1, pool, n)
			last, lastSize = pool, size
		}
		if size != lastSize || n > size || n > 1<<minBufferBits && 4*(size-n) > n {
			t.Fatalf("%d bytes are in pool %d of size %d, after %d", n, pool, size, lastSize)
		}
	}
	assert.Equal(t, len(pools)-1, last, "no pool without a class")
	pool, size := sizeClass(1<<maxBufferBits + 1)
	assert.Equal(t, -1, pool)
	assert.Equal(t, 1<<maxBufferBits+1, size)
}
