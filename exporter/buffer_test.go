package exporter

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
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
	assert.Equal(t, len(buffers)-1, last, "no pool without a class")
	pool, size := sizeClass(1<<maxBufferBits + 1)
	assert.Equal(t, -1, pool)
	assert.Equal(t, 1<<maxBufferBits+1, size)
}

func TestLargeBuffersAreNotKept(t *testing.T) {
	body := make([]byte, 2<<maxBufferBits)
	p := newParcel("k", body, []int{len(body)}, &shape{})
	assert.Equal(t, len(body), cap(p.body))
	p.release()
	assert.Nil(t, p.body)
	p.release() // again: nothing happens
}

// Parcels that are alive never share memory: each reads what was written to it,
// whoever else takes and releases meanwhile. Under the race detector this would
// be seen at once.
func TestLiveParcelsShareNothing(t *testing.T) {
	of := newShape([]header{{name: "m", kind: gauge}})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			var live []*parcel
			var want []string
			for i := range 2000 {
				text := strings.Repeat(fmt.Sprintf("%d.%d ", g, i), 1+random.IntN(60))
				live = append(live, newParcel("k", []byte(text), []int{i, len(text)}, of))
				want = append(want, text)
				if len(live) < 8 {
					continue
				}
				at := random.IntN(len(live))
				assert.Equal(t, want[at], string(live[at].body))
				assert.Equal(t, len(want[at]), live[at].ends[1])
				live[at].release()
				assert.Nil(t, live[at].body)
				live[at], want[at] = live[0], want[0]
				live, want = live[1:], want[1:]
			}
			for i, p := range live {
				assert.Equal(t, want[i], string(p.body))
			}
		})
	}
	all.Wait()
}

// Who reads a parcel that was released reads nonsense while tests run.
func TestReleasedIsPoisoned(t *testing.T) {
	p := newParcel("k", []byte("m 1\n"), []int{4}, newShape([]header{{name: "m", kind: gauge}}))
	body := p.body
	p.release()
	if poisonReleased { // not beside benchmarks
		assert.Error(t, parse(string(body)))
	}
	assert.Nil(t, p.body)
}
