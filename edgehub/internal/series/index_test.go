package series

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func key(i int) string { return fmt.Sprintf(`x{n="%d"}`, i) }

func (x *Index) text(sp *Spelling) string { return string(x.pages.Load().appendText(nil, sp)) }

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
		x.add(Text, x.Hash(Text, []byte(raw)), whole([]byte(raw)), ID(i), 0)
		added <- i
	}
	close(added)
	reading.Wait()
	i := 0
	for number, sp := range x.all {
		require.EqualValues(t, i+1, number)
		require.Equal(t, key(i), x.text(sp))
		i++
	}
	assert.Equal(t, n, i)
}

// Names whose hashes are equal are told apart.
func TestIndexTellsCollisionsApart(t *testing.T) {
	const last = 1<<32 - 1 // its place is at the end of the table
	for _, hash := range []uint32{7, last} {
		x := newIndex(0)
		for i := range 2000 {
			x.add(Text, hash, whole([]byte(key(i))), ID(i), 0)
		}
		for i := range 2000 {
			assert.Equal(t, ID(i), x.At(x.Find(Text, hash, []byte(key(i)))).ID)
		}
		assert.Zero(t, x.Find(Text, hash, []byte("absent")))
		assert.Zero(t, x.Find(Text, hash-1, []byte(key(1))))
	}
}

// The same bytes in another format are another spelling.
func TestIndexTellsFormatsApart(t *testing.T) {
	x := newIndex(0)
	const other Format = 3
	raw := []byte(key(1))
	x.add(Text, x.Hash(Text, raw), whole(raw), 1, 5)
	assert.Zero(t, x.Find(other, x.Hash(other, raw), raw))
	assert.Zero(t, x.Find(other, x.Hash(Text, raw), raw), "by the hash alone")
	x.add(other, x.Hash(other, raw), whole(raw), 2, maxGateways)
	one, two := x.At(x.Find(Text, x.Hash(Text, raw), raw)), x.At(x.Find(other, x.Hash(other, raw), raw))
	assert.Equal(t, []any{ID(1), uint32(5), ID(2), uint32(maxGateways)}, []any{one.ID, one.Gateway(), two.ID, two.Gateway()})
}
