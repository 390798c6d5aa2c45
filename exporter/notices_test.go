package exporter

import (
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/internal/bubble"
)

// A hub that left the ring and is dead is given up after a while.
func TestFormerHubIsGivenUp(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		members := &changing{}
		members.set(f.hubs()...)
		h := start(t, f, func(c *Config) { c.Hubs, c.Members = nil, members })
		bubble.Pass(time.Second)
		ids := gateways(20)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		away := len(f["hub-1"].lines())
		require.NotZero(t, away)
		f["hub-1"].kill()
		members.set(hubsOf("hub-0")...)
		bubble.Pass(2 * time.Minute)
		h.submit(2, ids...)
		bubble.Pass(time.Second)
		assert.Equal(t, away, h.count("ends_waiting"))
		assert.Equal(t, map[string]int{"hub-1": away}, asJSON(t, h.e, "").Ends.Waiting)
		bubble.Pass(10 * time.Minute)
		assert.Zero(t, h.count("ends_waiting"))
		assert.Equal(t, away, h.count("ends_total", "dropped"))
		tells := f["hub-1"].tells
		assert.Less(t, tells, 300, "it backs off")

		f["hub-1"].revive()
		members.set(f.hubs()...)
		bubble.Pass(time.Minute)
		now := time.Now()
		h.submit(3, ids...)
		bubble.Pass(10 * time.Second)
		assert.Equal(t, told(now, gatewaysOf(f["hub-1"].lines())...), f["hub-0"].heard())
		assert.Equal(t, tells, f["hub-1"].tells, "it begins anew")
		f["hub-1"].overloaded()
		h.submit(4, ids...)
		bubble.Pass(time.Second)
		assert.Len(t, f["hub-1"].heard(), away, "and is told again")
		require.NoError(t, h.stop())
	})
}

// A hub that does not know of ends is left alone, for a while.
func TestHubWithoutEnds(t *testing.T) {
	for _, status := range []int{404, 405, 501} {
		virtual(t, func(t *testing.T) {
			f := newFleet(2)
			hub := f["hub-0"]
			hub.ended = reply{status: status}
			h := start(t, f)
			ids := gateways(20)
			h.submit(1, ids...)
			bubble.Pass(time.Second)
			away := len(hub.lines())
			require.NotZero(t, away)
			hub.overloaded()
			h.submit(2, ids...)
			bubble.Pass(time.Second)
			assert.Equal(t, 1, hub.tells)
			assert.Equal(t, away, h.count("ends_total", "unsupported"))
			assert.Contains(t, h.log.String(), "does not know of gateways that left it")
			assert.Equal(t, []string{"hub-0"}, asJSON(t, h.e, "").Ends.Deaf)
			assert.Zero(t, h.count("ends_waiting"))

			hub.revive() // and is a newer one now
			bubble.Pass(10 * time.Second)
			h.submit(4, ids...)
			bubble.Pass(10 * time.Second)
			hub.overloaded()
			h.submit(5, ids...)
			bubble.Pass(time.Second)
			assert.Len(t, hub.heard(), away)
			require.NoError(t, h.stop())
		})
	}
}

// A hub that hangs when it is told keeps samples waiting for a moment, once. What it was
// not told by then would be wrong.
func TestHangingEndsDoNotHoldUpSamples(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hub := f["hub-0"]
		hub.ended = reply{after: time.Hour}
		h := start(t, f)
		ids := gateways(20)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		first := len(hub.lines())
		require.NotZero(t, first)
		hub.overloaded()
		h.submit(2, ids...)
		bubble.Pass(time.Minute)
		hub.answer(reply{}, reply{}) // well, but for ends
		bubble.Pass(10 * time.Second)
		require.Equal(t, 2, h.count("hub_up"))
		for value := range 10 {
			h.submit(3+value, ids...)
			bubble.Pass(time.Second + queue.EndsTimeout + 200*time.Millisecond) // patience, and a request
			assert.Len(t, hub.lines(), (2+value)*first)
		}
		assert.Zero(t, h.count("queue_samples"))
		assert.Equal(t, first, h.count("ends_total", "overtaken"))
		assert.Zero(t, h.count("ends_waiting"))
		assert.Empty(t, hub.heard())
		assert.Len(t, f["hub-1"].heard(), first)
		require.NoError(t, h.stop())
	})
}

// What Run moves while it flushes is told before it ends. A dead hub does not keep it.
func TestRunEndsWithEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f)
		ids := gateways(60)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		dead, full := f["hub-0"].since(0), f["hub-1"].since(0)
		f["hub-0"].kill()
		f["hub-1"].overloaded()
		now := time.Now()
		h.submit(2, ids...)
		require.NoError(t, h.stop())
		assert.Less(t, time.Since(now), 2*time.Second)
		assert.Equal(t, told(now, full...), f["hub-1"].heard())
		assert.Equal(t, len(full), h.count("ends_total", "told"))
		assert.Equal(t, len(dead), h.count("ends_total", "dropped"))
		assert.Zero(t, h.count("ends_waiting"))
	})
}

// A hub that hangs when it is told keeps Run for as long as a request may take.
func TestRunDoesNotWaitLongForEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f)
		ids := gateways(20)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		f["hub-0"].overloaded()
		f["hub-0"].mu.Lock()
		f["hub-0"].ended = reply{after: time.Hour}
		f["hub-0"].mu.Unlock()
		h.submit(2, ids...)
		bubble.Pass(10 * time.Millisecond)
		now := time.Now()
		require.NoError(t, h.stop())
		assert.LessOrEqual(t, time.Since(now), queue.EndsTimeout)
	})
}

// Many moves go in several requests, smaller ones while the hub cannot do so many. One that
// it refuses is found and dropped.
func TestManyEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hub, other := f["hub-0"], f["hub-1"]
		other.kill()
		h := start(t, f)
		ids := gateways(10_000)
		h.submit(1, ids...)
		bubble.Pass(10 * time.Second)
		answers := func(ended reply, poison string) {
			hub.mu.Lock()
			defer hub.mu.Unlock()
			hub.ended, hub.poison = ended, poison
		}
		answers(reply{status: 500}, "")
		other.revive()
		bubble.Pass(10 * time.Second)
		h.submit(2, ids...)
		bubble.Pass(time.Minute)
		away := other.since(0)
		require.Greater(t, len(away), 4000)
		assert.Equal(t, len(away), h.count("ends_waiting"))
		tells := hub.tells
		answers(reply{}, "")
		bubble.Pass(time.Minute)
		assert.Len(t, hub.heard(), len(away))
		assert.Greater(t, hub.tells-tells, 5, "it begins with few")
		assert.Less(t, hub.tells-tells, 20)

		other.kill()
		h.submit(3, away...)
		bubble.Pass(10 * time.Second)
		other.revive()
		bubble.Pass(10 * time.Second)
		answers(reply{}, away[17]+" ")
		h.submit(4, away...)
		bubble.Pass(10 * time.Minute)
		assert.Equal(t, 1, h.count("ends_total", "dropped"))
		assert.Len(t, hub.heard(), 2*len(away)-1)
		assert.Contains(t, h.log.String(), "refuses to be told of gateways")
		require.NoError(t, h.stop())
	})
}

// IDs are escaped, and one that is too long for a request is dropped.
func TestEndsOfStrangeIDs(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		members := &scriptedMembers{}
		members.set([]Hub{{URL: "http://hub-0"}}, nil)
		h := start(t, f, func(c *Config) { c.Members, c.Hubs, c.MembersHold = members, nil, time.Second })
		strange := []string{"", "a b", "a\nb 5", "é%", strings.Repeat("x", 512<<10)}
		at := int64(0)
		submit := func() {
			at++
			for _, id := range strange {
				g := gaugeFamily("load", 1)
				g.Metric[0].TimestampMs = &at
				require.NoError(t, h.e.SubmitFamilies(t.Context(), id, []*dto.MetricFamily{g}))
			}
		}
		submit()
		bubble.Pass(time.Minute)
		members.set([]Hub{{URL: "http://hub-1"}}, nil)
		bubble.Pass(time.Minute)
		submit()
		bubble.Pass(time.Minute)
		assert.Equal(t, []string{" 2", "%C3%A9%25 2", "a%0Ab+5 2", "a+b 2"}, f["hub-0"].heard())
		assert.Equal(t, 1, h.count("ends_total", "dropped"))
		require.NoError(t, h.stop())
	})
}
