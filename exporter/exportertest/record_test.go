package exportertest

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// However many items come, a bounded tail keeps its end and its memory.
func TestTailIsBounded(t *testing.T) {
	for _, limit := range []int{0, 1, 3} {
		tail := tail[int]{limit: limit}
		for i := range 1000 {
			assert.Equal(t, i, tail.next())
			tail.add(-1)
			tail.set(i, i)
			tail.set(i-2*limit-1, -2) // gone, so nothing happens
		}
		var want []int
		for i := 1000 - limit; i < 1000; i++ {
			want = append(want, i)
		}
		assert.Equal(t, want, tail.list())
		assert.LessOrEqual(t, cap(tail.items), 4*limit)
		tail.reset()
		assert.Empty(t, tail.list())
		assert.Equal(t, 1000, tail.next())
	}
}
