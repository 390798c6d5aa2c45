package trial

import (
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// Several scrapes and outcomes at once, while somebody counts and series expire. The race
// detector judges.
func TestConcurrentUse(t *testing.T) {
	const all = 500
	var end atomic.Uint64
	main := new(atomic.Uint64)
	trial := New(main, Config[*atomic.Uint64]{
		Most: math.MaxInt32,
		At:   func(p *atomic.Uint64) uint64 { return p.Load() },
		Fork: func(p *atomic.Uint64) *atomic.Uint64 {
			fork := new(atomic.Uint64)
			fork.Store(p.Load())
			return fork
		},
		Drop:    func(*atomic.Uint64) {},
		Gateway: func(id series.ID) uint32 { return uint32(id / 50) },
		Family:  func(id series.ID) uint32 { return uint32(id % 50) },
	})
	bad := func(id series.ID) bool { return id/50 == 3 }
	var stop atomic.Bool
	var scrapers, others sync.WaitGroup
	for range 4 {
		scrapers.Go(func() {
			for i := range 100 {
				now := time.Unix(int64(i*15), 0)
				end.Add(all)
				turn := trial.Next(now)
				to := min(end.Load(), turn.Until)
				r, refused := Response{}, false
				for id := range series.ID(all) {
					if turn.Admit != nil && turn.Admit(id) != Write || r.Samples == turn.Most {
						continue
					}
					r.Samples++
					refused = refused || bad(id)
					if turn.Lists(id) {
						r.Listed = append(r.Listed, id)
					}
				}
				if refused {
					trial.Refused(turn, r, Cause{Kind: Content}, now)
				} else if trial.Stored(turn, r, now) {
					turn.From.Store(max(turn.From.Load(), to))
				}
			}
		})
	}
	others.Go(func() {
		keep := make([]bool, all)
		for i := range keep {
			keep[i] = i%7 > 0
		}
		for !stop.Load() {
			trial.Forget(keep)
			trial.Reason(150)
			trial.proven(7)
			assert.LessOrEqual(t, trial.Aside(), all)
		}
	})
	scrapers.Wait()
	stop.Store(true)
	others.Wait()
	for id := range series.ID(all) {
		assert.False(t, bad(id) && trial.proven(id))
	}
}
