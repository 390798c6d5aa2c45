package exporter

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// A hub that takes half a second for an answer catches up, too.
func TestSlowHubCatchesUp(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub, slow := f["hub-0"], reply{after: 500 * time.Millisecond}
		hub.answer(slow, reply{})
		h := start(t, f)
		load := func(seconds int) {
			for range seconds * 20 {
				h.submit(1, gateways(50)...)
				bubble.Pass(50 * time.Millisecond)
			}
		}
		load(30)
		hub.kill()
		load(20)
		hub.answer(slow, reply{})
		load(150)
		assert.Less(t, h.count("queue_samples"), 2000, "it has caught up")
		assert.Zero(t, h.count("hub_catching_up"))
		require.NoError(t, h.stop())
	})
}

// Hubs that went down together and come back one by one are each sent less than
// twice their usual load in any second, also while one stands in for the others.
func TestHubsThatReturnOneByOneAreNotFlooded(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		type push struct {
			at      time.Time
			samples int
		}
		pushes := map[string][]push{}
		for name, hub := range f {
			hub.onPush = func(body string) { pushes[name] = append(pushes[name], push{time.Now(), len(sampleLines(body))}) }
		}
		h := start(t, f)
		load := func(seconds int) { // 1,000 samples a second
			for range seconds * 20 {
				h.submit(1, gateways(50)...)
				bubble.Pass(50 * time.Millisecond)
			}
		}
		load(20)
		usual := map[string]int{}
		for name, all := range pushes {
			for _, p := range all {
				usual[name] += p.samples
			}
			usual[name] /= 20
		}
		for _, hub := range f {
			hub.kill()
		}
		load(30)
		for _, name := range []string{"hub-1", "hub-0", "hub-2"} {
			f[name].revive()
			load(3)
		}
		load(90) // 30 s and what the first ones took over, at 0.6 times the usual beside it, and up to 5 s until the probe
		for name, all := range pushes {
			within, first := 0, 0
			for _, p := range all {
				for within += p.samples; p.at.Sub(all[first].at) >= time.Second; first++ {
					within -= all[first].samples
				}
				assert.LessOrEqual(t, within, 2*usual[name], "%s, %s after the start", name, p.at.Sub(all[0].at))
			}
		}
		assert.Less(t, h.count("queue_samples"), 1000, "they have caught up")
		require.NoError(t, h.stop())
	})
}

// A hub that joins, or has a new address, while the others are down takes over
// what has piled up at a pace as well.
func TestHubThatInheritsIsNotFlooded(t *testing.T) {
	for name, change := range map[string]func(hubs []Hub) []Hub{
		"a new hub":     func(hubs []Hub) []Hub { return append(hubs, Hub{URL: "http://hub-3"}) },
		"a new address": func(hubs []Hub) []Hub { return append(hubs[1:], Hub{Name: hubs[0].Name, URL: "http://hub-3"}) },
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				f := newFleet(4)
				var began time.Time
				perSecond := map[int]int{}
				f["hub-3"].onPush = func(body string) { perSecond[int(time.Since(began).Seconds())] += len(sampleLines(body)) }
				hubs := []Hub{{Name: "hub-0", URL: "http://hub-0"}, {Name: "hub-1", URL: "http://hub-1"}, {Name: "hub-2", URL: "http://hub-2"}}
				members := &scriptedMembers{}
				members.set(hubs, nil)
				h := start(t, f, func(c *Config) { c.Hubs, c.Members, c.MembersInterval = nil, members, time.Second })
				load := func(seconds int) { // 1,000 samples a second
					for range seconds * 20 {
						h.submit(1, gateways(50)...)
						bubble.Pass(50 * time.Millisecond)
					}
				}
				load(20)
				for _, hub := range hubs {
					f[hub.Name].kill()
				}
				load(30)
				members.set(change(hubs), nil)
				began = time.Now()
				load(10)
				require.NotEmpty(t, perSecond)
				for second, samples := range perSecond {
					assert.LessOrEqual(t, samples, 1000, "in second %d, when its usual load is a third of that", second)
				}
				require.NoError(t, h.stop())
			})
		})
	}
}
