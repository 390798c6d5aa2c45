package edgehub

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
					number := x.find(x.hash(raw), raw)
					if !assert.NotZero(t, number, k) || !assert.Equal(t, seriesID(k), x.at(number).id) {
						return
					}
				}
				absent := []byte(key(n + i))
				assert.Zero(t, x.find(x.hash(absent), absent))
			}
		})
	}
	for i := range n {
		raw := key(i)
		x.add(x.hash([]byte(raw)), raw, seriesID(i), 0)
		added <- i
	}
	close(added)
	reading.Wait()
	i := 0
	for number, sp := range x.all {
		require.EqualValues(t, i+1, number)
		require.Equal(t, key(i), sp.raw)
		i++
	}
	assert.Equal(t, n, i)
}

// Names whose hashes are equal are told apart.
func TestIndexTellsCollisionsApart(t *testing.T) {
	x := newIndex(0)
	for i := range 100 {
		x.add(7, key(i), seriesID(i), 0)
	}
	for i := range 100 {
		assert.Equal(t, seriesID(i), x.at(x.find(7, []byte(key(i)))).id)
	}
	assert.Zero(t, x.find(7, []byte("absent")))
	assert.Zero(t, x.find(8, []byte(key(1))))
}
