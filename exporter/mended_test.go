package exporter

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// A hub that left has no series, also if a request was under way when it left.
func TestHubThatLeftHasNoSeries(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hubs := []Hub{{URL: "http://hub-0"}, {URL: "http://hub-1"}}
		source := &scriptedMembers{hubs: hubs}
		h := start(t, f, func(c *Config) {
			c.Hubs, c.Members = nil, source
			c.MembersInterval, c.MembersHold, c.PushTimeout = time.Second, time.Second, time.Minute
		})
		bubble.Pass(time.Second)
		f["hub-0"].say(reply{after: 20 * time.Second})
		h.submit(1, gateways(10)...)
		bubble.Pass(time.Second)
		source.set(hubs[1:], nil)
		bubble.Pass(10 * time.Second)
		require.Equal(t, 1, h.count("ring_hubs"))
		bubble.Pass(20 * time.Second)
		families, err := h.reg.Gather()
		require.NoError(t, err)
		for _, family := range families {
			if strings.HasSuffix(family.GetName(), "pushes_total") || strings.HasSuffix(family.GetName(), "push_duration_seconds") {
				assert.NotContains(t, family.String(), "hub-0", family.GetName())
			}
		}
		require.NoError(t, h.stop())
	})
}

// Without a bound on the pace a hub that returns is sent full requests.
func TestCatchUpWithoutBound(t *testing.T) {
	for _, rate := range []float64{1e300, math.Inf(1)} {
		virtual(t, func(t *testing.T) {
			f := newFleet(1)
			f["hub-0"].kill()
			h := start(t, f, func(c *Config) { c.CatchUp, c.BatchWait = rate, time.Millisecond })
			for value := range 20 {
				h.submit(value, gateways(50)...)
				bubble.Pass(time.Second)
			}
			f["hub-0"].revive()
			bubble.Pass(time.Minute)
			assert.Equal(t, 1000, h.count("samples_delivered_total"))
			assert.Less(t, len(f["hub-0"].pushes()), 10, "CatchUp %g", rate)
			require.NoError(t, h.stop())
		})
	}
}

// The last line about a hub that restarts now and then is that it is up.
func TestLastLineOfAHubIsTrue(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		for n := range 10 {
			f["hub-0"].kill()
			h.submit(n, "a")
			bubble.Pass(time.Second)
			f["hub-0"].revive()
			bubble.Pass(time.Hour)
			log := h.log.String()
			assert.Greater(t, strings.LastIndex(log, "Hub is up"), strings.LastIndex(log, "Hub is down"), "after restart %d", n+1)
		}
		require.NoError(t, h.stop())
	})
}

// What waits because the hub takes no more of its gateway does not fill the
// requests of others.
func TestHeldSamplesDoNotFillRequests(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].crowd = "gw-crowded"
		h := start(t, f, func(c *Config) { c.BatchBytes, c.BatchWait = 10_000, time.Second })
		require.NoError(t, h.e.Submit(context.Background(), bulk(1, 200, "gw-crowded")))
		bubble.Pass(2 * time.Second)
		require.Equal(t, 1, f["hub-0"].pushed())
		for n := range 10 {
			h.submit(n, fmt.Sprint("other-", n))
			bubble.Pass(10 * time.Millisecond)
		}
		bubble.Pass(time.Second)
		assert.Len(t, f["hub-0"].pushes(), 1)
		h.cancel()
		<-h.ended
	})
}

// A request that began before a hub returned says nothing about the hub that
// returned.
func TestOldRequestDoesNotBringAHubDownAgain(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		f["hub-0"].say(reply{after: time.Minute}, reply{err: errRefused})
		h.submit(1, "a")
		bubble.Pass(time.Second)
		h.submit(1, "b")
		bubble.Pass(5 * time.Second)
		assert.Equal(t, 1, h.count("hub_up"))
		assert.Equal(t, 1, h.count("samples_delivered_total"), "b's, that nothing is in the way of")
		bubble.Pass(6 * time.Second) // a's request has timed out
		assert.Equal(t, 1, strings.Count(h.log.String(), "Hub is down"))
		bubble.Pass(time.Minute)
		assert.Equal(t, 2, h.count("samples_delivered_total"))
		require.NoError(t, h.stop())
	})
}

// A gateway that its hub refuses does not fill the queue, however small its parcels
// are.
func TestHeldGatewayOfSmallParcelsHasItsShare(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].crowd = "gw-crowded"
		h := start(t, f, func(c *Config) { c.MaxQueueBytes = 1_000_000 })
		for n := range 10_000 {
			if err := h.e.Submit(context.Background(), reports(n, "gw-crowded")); err != nil {
				t.Logf("refused after %d", n)
				break
			}
			if n%10 == 0 {
				bubble.Pass(100 * time.Millisecond)
			}
		}
		bubble.Pass(10 * time.Second)
		assert.Less(t, h.count("queue_bytes"), 2*1_000_000/16)
		h.cancel()
		<-h.ended
	})
}

// A sender that is free takes up what a hub refused when its time has come, though
// another is busy.
func TestHeldGatewayIsNotForgottenByFreeSenders(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		hub.crowd = "gw-crowded"
		h := start(t, f, func(c *Config) { c.Senders = 8 })
		begin := time.Now()
		h.submit(1, "gw-crowded")
		bubble.Pass(time.Second)
		hub.mu.Lock()
		hub.crowd = ""
		hub.mu.Unlock()
		for n := range 7 {
			hub.say(reply{after: 9 * time.Second})
			h.submit(1, fmt.Sprint("slow-", n))
			bubble.Pass(300 * time.Millisecond)
		}
		require.Equal(t, 0, h.count("samples_delivered_total"))
		bubble.Pass(time.Until(begin.Add(5500 * time.Millisecond)))
		assert.Equal(t, 1, h.count("samples_delivered_total"))
		bubble.Pass(time.Minute)
		require.NoError(t, h.stop())
	})
}
