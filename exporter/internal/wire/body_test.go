package wire

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A body's memory is what is kept of it, its length what it is alone in a request.
func TestSizes(t *testing.T) {
	b := bodyOf("key", family{Header{Name: "metric", Kind: Gauge, Help: "Help."}, "metric 1 1000\n"})
	assert.Equal(t, len("key")+cap(b.Text)+endBytes*cap(b.Ends)+headerBytes+len("metric")+len("Help."), b.Memory())
	assert.Equal(t, len("# HELP metric Help.\n# TYPE metric gauge\nmetric 1 1000\n"), b.Length())
	var j Joiner
	assert.Len(t, j.Join(nil, []*Body{b}), b.Length())
}

func TestLargeBodiesAreNotKept(t *testing.T) {
	body := make([]byte, 2<<maxBufferBits)
	b := NewBody("k", body, []int{len(body)}, &Shape{})
	assert.Equal(t, len(body), cap(b.Text))
	b.Release()
	next := NewBody("k", body, []int{len(body)}, &Shape{})
	assert.NotSame(t, b, next)
}

// Bodies that are alive never share memory: each reads what was written to it,
// whoever else takes and releases meanwhile. Under the race detector this would
// be seen at once.
func TestLiveBodiesShareNothing(t *testing.T) {
	of := NewShape([]Header{{Name: "m", Kind: Gauge}})
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			var live []*Body
			var want []string
			for i := range 2000 {
				text := strings.Repeat(fmt.Sprintf("%d.%d ", g, i), 1+random.IntN(60))
				live = append(live, NewBody("k", []byte(text), []int{i, len(text)}, of))
				want = append(want, text)
				if len(live) < 8 {
					continue
				}
				at := random.IntN(len(live))
				assert.Equal(t, want[at], string(live[at].Text))
				assert.Equal(t, len(want[at]), live[at].Ends[1])
				live[at].Release()
				live[at], want[at] = live[0], want[0]
				live, want = live[1:], want[1:]
			}
			for i, b := range live {
				assert.Equal(t, want[i], string(b.Text))
			}
		})
	}
	all.Wait()
}

// Who reads a body that was released reads nonsense while tests run.
func TestReleasedIsPoisoned(t *testing.T) {
	b := NewBody("k", []byte("m 1\n"), []int{4}, NewShape([]Header{{Name: "m", Kind: Gauge}}))
	text := b.Text
	b.Release()
	if PoisonReleased { // not beside benchmarks
		assert.Equal(t, "????", string(text))
	}
	assert.Nil(t, b.Shape)
}
