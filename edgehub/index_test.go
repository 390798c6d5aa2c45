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
					sp := x.find(x.hash(raw), raw)
					if !assert.NotNil(t, sp, k) || !assert.Equal(t, seriesID(k), sp.id) {
						return
					}
				}
				absent := []byte(key(n + i))
				assert.Nil(t, x.find(x.hash(absent), absent))
			}
		})
	}
	for i := range n {
		raw := key(i)
		x.add(x.hash([]byte(raw)), raw, seriesID(i), nil)
		added <- i
	}
	close(added)
	reading.Wait()
	i := 0
	for sp := range x.all {
		require.Equal(t, key(i), sp.raw)
		i++
	}
	assert.Equal(t, n, i)
}

// Names whose hashes are equal are told apart.
func TestIndexTellsCollisionsApart(t *testing.T) {
	x := newIndex(0)
	for i := range 100 {
		x.add(7, key(i), seriesID(i), nil)
	}
	for i := range 100 {
		assert.Equal(t, seriesID(i), x.find(7, []byte(key(i))).id)
	}
	assert.Nil(t, x.find(7, []byte("absent")))
	assert.Nil(t, x.find(8, []byte(key(1))))
}

// After its first push a sender that repeats itself is guessed on every line.
func TestEachLineGuessesTheNext(t *testing.T) {
	h := newHub(t, Config{})
	known := fleet(3, 3, base)
	mixed := append(append([]byte("a 1\n# TYPE b counter\n"), known...), "b 1\nc 1\n"...)
	for _, body := range [][]byte{known, mixed} {
		ingestAt(t, h, body)
		first, _, _ := bytesCutLine(body)
		table := h.table.Load()
		sp := table.index.find(table.index.hash(first), first)
		for rest := body; len(rest) > 0; {
			var line []byte
			line, rest, _ = bytesCutLine(rest)
			require.NotNil(t, sp)
			require.Equal(t, string(line), sp.raw)
			sp = sp.next.Load()
		}
	}
}
