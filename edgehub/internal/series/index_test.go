package series

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func key(i int) string { return fmt.Sprintf(`x{n="%d"}`, i) }

// Readers find what was there before they looked, and nothing wrong, while the
// index grows.
func TestIndexIsReadWhileItGrows(t *testing.T) {
	const n, readers = 50_000, 4
	x := newIndex(0)
	added := make(chan int, n)
	var reading sync.WaitGroup
	for range readers {
		reading.Go(func() {
			for i := range added {
				for _, k := range []int{i, i / 2, i / 3} {
					raw := []byte(key(k))
					number := x.Find(Text, x.Hash(Text, raw), raw)
					if !assert.NotZero(t, number, k) || !assert.Equal(t, ID(k), x.At(number).ID) {
						return
					}
				}
				absent := []byte(key(n + i))
				assert.Zero(t, x.Find(Text, x.Hash(Text, absent), absent))
			}
		})
	}
	for i := range n {
		raw := key(i)
		x.add(Text, x.Hash(Text, []byte(raw)), raw, ID(i), 0)
		added <- i
	}
	close(added)
	reading.Wait()
	i := 0
	for number, sp := range x.all {
		require.EqualValues(t, i+1, number)
		require.Equal(t, key(i), sp.Raw)
		i++
	}
	assert.Equal(t, n, i)
}

// Names whose hashes are equal are told apart.
func TestIndexTellsCollisionsApart(t *testing.T) {
	x := newIndex(0)
	for i := range 100 {
		x.add(Text, 7, key(i), ID(i), 0)
	}
	for i := range 100 {
		assert.Equal(t, ID(i), x.At(x.Find(Text, 7, []byte(key(i)))).ID)
	}
	assert.Zero(t, x.Find(Text, 7, []byte("absent")))
	assert.Zero(t, x.Find(Text, 8, []byte(key(1))))
}

// The same bytes in another format are another spelling.
func TestIndexTellsFormatsApart(t *testing.T) {
	x := newIndex(0)
	const other Format = 3
	raw := []byte(key(1))
	x.add(Text, x.Hash(Text, raw), string(raw), 1, 5)
	assert.Zero(t, x.Find(other, x.Hash(other, raw), raw))
	assert.Zero(t, x.Find(other, x.Hash(Text, raw), raw), "by the hash alone")
	x.add(other, x.Hash(other, raw), string(raw), 2, maxGateways)
	one, two := x.At(x.Find(Text, x.Hash(Text, raw), raw)), x.At(x.Find(other, x.Hash(other, raw), raw))
	assert.Equal(t, []any{ID(1), uint32(5), ID(2), uint32(maxGateways)}, []any{one.ID, one.Gateway(), two.ID, two.Gateway()})
}
