package queue

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// However slow and irregular the senders are, no second has more than a second's
// worth, and what is allowed is made use of.
func TestPaceBoundsEverySecond(t *testing.T) {
	const perSecond, long = 1_000_000, 60 * time.Second
	for name, delay := range map[string]func() time.Duration{
		"at once":     func() time.Duration { return 0 },
		"a bit late":  func() time.Duration { return rand.N(20 * time.Millisecond) },
		"irregular":   func() time.Duration { return rand.N(300 * time.Millisecond) },
		"slow":        func() time.Duration { return 700 * time.Millisecond },
		"with a halt": func() time.Duration { return rand.N(time.Millisecond) * time.Duration(1+1500*(rand.IntN(40)/39)) },
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			now, p := begin, pace{}
			p.start(now)
			type sent struct {
				at    time.Time
				bytes int
			}
			var all []sent
			first, within, most, total := 0, 0, 0, 0
			for now.Sub(begin) < long {
				bytes, wait := p.allow(perSecond, now)
				if wait > 0 {
					now = now.Add(wait + delay())
					continue
				}
				p.spend(bytes, now)
				all = append(all, sent{now, bytes})
				total += bytes
				for within += bytes; now.Sub(all[first].at) >= time.Second; first++ {
					within -= all[first].bytes
				}
				most = max(most, within)
				now = now.Add(delay())
			}
			assert.LessOrEqual(t, float64(most), perSecond*paceWindow.Seconds())
			assert.Greater(t, total, int(0.6*perSecond*long.Seconds()))
			t.Logf("at most %.2f times what is allowed in a second, %.2f on the average", float64(most)/perSecond, float64(total)/perSecond/long.Seconds())
		})
	}
}
