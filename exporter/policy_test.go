package exporter

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
)

// Requests to a hub run side by side, and yet a gateway's samples arrive in order.
func TestParallelSendersKeepTheOrder(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		rnd, delays := rand.New(rand.NewPCG(1, 1)), rand.New(rand.NewPCG(1, 2))
		latest := map[string]int{}
		hub.onPush = func(body string) {
			hub.always = &reply{after: time.Duration(delays.IntN(200)) * time.Millisecond}
			for _, line := range sampleLines(body) {
				assert.Greater(t, valueOf(line), latest[gatewayOf(line)], line)
				latest[gatewayOf(line)] = valueOf(line)
			}
		}
		h := start(t, f, func(c *Config) {
			c.Senders, c.BatchBytes, c.BatchWait, c.FlushTimeout = 4, 400, time.Millisecond, time.Hour
		})
		most := 0
		for value := 1; value <= 300; value++ {
			h.submit(value, gateways(10)[rnd.IntN(10):]...)
			bubble.Pass(time.Duration(rnd.IntN(100)) * time.Millisecond)
			most = max(most, h.e.queue.Snapshot(time.Now()).Hubs[0].Requests)
		}
		assert.Equal(t, 4, most, "requests at once")
		require.NoError(t, h.stop())
		h.balanced()
	})
}

// With DropOldest a new sample always finds room, and what is missing in the end
// is the oldest.
func TestDropOldest(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		for _, hub := range f {
			hub.kill()
		}
		const limit = 20_000
		h := start(t, f, func(c *Config) { c.MaxQueueBytes, c.Overflow = limit, DropOldest })
		for value := 1; value <= 100; value++ {
			h.submit(value, gateways(10)...)
			bubble.Pass(time.Second)
			assert.LessOrEqual(t, h.count("queue_bytes"), limit)
			h.balanced()
		}
		kept := h.count("queue_samples")
		assert.Greater(t, h.count("queue_bytes"), limit*8/10)
		assert.Equal(t, 1000-kept, h.count("samples_dropped_total", "queue_overflow"))
		for _, hub := range f {
			hub.revive()
		}
		bubble.Pass(time.Minute)
		require.NoError(t, h.stop())
		arrived := append(f["hub-0"].lines(), f["hub-1"].lines()...)
		assert.Len(t, arrived, kept)
		for _, line := range arrived {
			assert.Greater(t, valueOf(line), 100-kept/10-2, "the newest")
		}

		err := h.e.Submit(context.Background(), reports(1, "a"))
		require.ErrorIs(t, err, ErrClosed)
	})
}

// More than all of the memory is refused also then.
func TestDropOldestDropsNothingForWhatNeverFits(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].kill()
		h := start(t, f, func(c *Config) { c.MaxQueueBytes, c.Overflow = 5000, DropOldest })
		h.submit(1, gateways(5)...)
		require.ErrorIs(t, h.e.Submit(context.Background(), reports(1, gateways(100)...)), ErrQueueFull)
		assert.Equal(t, 5, h.count("queue_samples"))
		require.Error(t, h.stop())
	})
}

// With WaitForOwner no other hub gets the samples, and all arrive when it is back.
func TestWaitForOwner(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.Failover = WaitForOwner })
		h.submit(1, gateways(60)...)
		bubble.Pass(time.Second)
		owned := gatewaysOf(f["hub-1"].lines())
		f["hub-1"].kill()
		for value := 2; value <= 11; value++ {
			h.submit(value, gateways(60)...)
			bubble.Pass(10 * time.Second)
		}
		assert.Equal(t, 10*len(owned), h.count("queue_samples"))
		assert.Contains(t, h.log.String(), "Hub is down, its samples wait")
		f["hub-1"].revive()
		bubble.Pass(time.Minute)
		assert.Len(t, f["hub-1"].lines(), 11*len(owned))
		assert.Zero(t, h.count("samples_rerouted_total"))
		require.NoError(t, h.stop())
		assert.Equal(t, 11*60, h.count("samples_delivered_total"))
	})
}

// What has piled up for a hub comes at less than twice its usual load, and its
// own share comes at once.
func TestHubThatReturnsIsNotFlooded(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		perSecond := map[int]int{}
		begin := time.Now()
		hub.onPush = func(body string) { perSecond[int(time.Since(begin).Seconds())] += len(sampleLines(body)) }
		h := start(t, f, func(c *Config) { c.BatchWait = 50 * time.Millisecond })
		load := func(seconds int) { // 1,000 samples per second
			for range seconds * 10 {
				h.submit(1, gateways(100)...)
				bubble.Pass(100 * time.Millisecond)
			}
		}
		load(60)
		hub.kill()
		load(30)
		hub.revive()
		back := int(time.Since(begin).Seconds())
		load(100)
		for second, samples := range perSecond {
			assert.LessOrEqual(t, samples, 2*1000, "in second %d; it was back in second %d", second, back)
		}
		for second := back + 10; second < back+100; second++ {
			assert.GreaterOrEqual(t, perSecond[second], 900, "in second %d; it was back in second %d", second, back)
		}
		assert.Less(t, h.count("queue_samples"), 1000, "it has caught up")
		assert.Zero(t, h.count("hub_catching_up"))
		require.NoError(t, h.stop())
	})
}

// A hub that stands in for others is not held back to its own share.
func TestCatchingUpLeavesRoomForFailover(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(4)
		h := start(t, f)
		load := func(seconds int) {
			for range seconds {
				h.submit(1, gateways(1000)...)
				bubble.Pass(time.Second)
			}
		}
		load(60)
		for _, hub := range f {
			hub.kill()
		}
		load(30)
		f["hub-2"].revive()
		load(300)
		assert.Less(t, h.count("queue_samples"), 2000, "one hub carries all")
		for _, hub := range f {
			hub.revive()
		}
		bubble.Pass(10 * time.Second)
		require.NoError(t, h.stop())
		assert.Equal(t, 390*1000, h.count("samples_delivered_total"))
	})
}

// A gateway that the hub takes no more of waits alone.
func TestCrowdedGatewayWaitsAlone(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		hub := f["hub-0"]
		hub.crowd = "gw-007"
		h := start(t, f, func(c *Config) { c.MaxQueueBytes = 100_000 })
		for value := 1; value <= 3; value++ {
			h.submit(value, gateways(20)...)
			bubble.Pass(time.Second)
			assert.Equal(t, 1, h.count("hub_up"))
		}
		assert.Len(t, hub.lines(), 3*19, "the neighbours'")
		assert.Equal(t, 3, h.count("queue_samples"))
		before := hub.asked()
		bubble.Pass(2 * time.Second)
		assert.Equal(t, before, hub.asked(), "Retry-After is not over")

		hub.mu.Lock()
		hub.crowd = ""
		hub.mu.Unlock()
		bubble.Pass(5 * time.Second)
		assert.Len(t, hub.lines(), 3*20)

		// It may fill a part of the queue, not all of it.
		hub.mu.Lock()
		hub.crowd = "gw-007"
		hub.mu.Unlock()
		for value := 4; value <= 204; value++ {
			h.submit(value, "gw-007", "gw-008")
			bubble.Pass(time.Second)
		}
		assert.Less(t, h.count("queue_bytes"), 50_000)
		assert.Positive(t, h.count("samples_dropped_total", "rejected_429"))
		h.balanced()
		assert.Len(t, hub.lines(), 3*20+201)
		hub.revive()
		hub.mu.Lock()
		hub.crowd = ""
		hub.mu.Unlock()
		require.NoError(t, h.stop())
		h.balanced()
		last := 0
		for _, line := range hub.lines() {
			if gatewayOf(line) == "gw-007" {
				assert.Greater(t, valueOf(line), last)
				last = valueOf(line)
			}
		}
		assert.Equal(t, 204, last)
	})
}

// A change of the hubs moves what is queued, and only what must.
func TestRingChanges(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(4)
		hubs := f.hubs()
		members := &scriptedMembers{}
		h := start(t, f, func(c *Config) {
			c.Hubs, c.Members, c.MembersInterval, c.MembersHold = nil, members, time.Second, 5*time.Second
		})
		h.submit(1, gateways(100)...)
		bubble.Pass(time.Minute)
		assert.Equal(t, 100, h.count("queue_samples"), "no hub is known")
		assert.Zero(t, h.count("ring_hubs"))
		assert.Zero(t, h.count("ring_fingerprint"))

		members.set(hubs[:3], nil)
		bubble.Pass(2 * time.Second)
		assert.Equal(t, 100, h.count("samples_delivered_total"))
		assert.Equal(t, 3, h.count("ring_hubs"))

		// A hub that leaves while it is down hands its samples on.
		gone := f[strings.TrimPrefix(hubs[0].URL, "http://")]
		for _, hub := range f {
			hub.kill()
		}
		h.submit(2, gateways(100)...)
		bubble.Pass(time.Second)
		members.set(hubs[1:], nil)
		bubble.Pass(20 * time.Second)
		assert.Equal(t, 3, h.count("ring_hubs"))
		for _, hub := range f {
			if hub != gone {
				hub.revive()
			}
		}
		bubble.Pass(10 * time.Second)
		assert.Equal(t, 200, h.count("samples_delivered_total"))
		h.balanced()

		// No answer, or one without a hub, changes nothing.
		fingerprint := h.count("ring_fingerprint")
		members.set(nil, nil)
		bubble.Pass(time.Minute)
		members.set(nil, errors.New("no such host"))
		bubble.Pass(time.Minute)
		assert.Equal(t, fingerprint, h.count("ring_fingerprint"))
		assert.Positive(t, h.count("members_failures_total"))
		require.NoError(t, h.stop())
	})
}

// Push returns when the hubs have acknowledged.
func TestPush(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.BatchWait = time.Hour })
		begin := time.Now()
		require.NoError(t, h.e.Push(context.Background(), reports(1, gateways(50)...)))
		assert.Zero(t, time.Since(begin), "nobody waited for others")
		assert.Equal(t, 50, h.count("samples_delivered_total"))
		require.NoError(t, h.e.Push(context.Background(), nil))

		for _, hub := range f {
			hub.poison = "gw-007"
		}
		err := h.e.Push(context.Background(), append(reports(2, gateways(10)...), magma.MetricAndContext{}))
		var rejected *RejectedError
		require.ErrorAs(t, err, &rejected)
		assert.Equal(t, 2, rejected.Total)
		assert.Equal(t, "missing_metric", rejected.Samples[0].Reason)
		assert.Equal(t, "rejected_400", rejected.Samples[1].Reason)
		assert.Equal(t, "gw-007", rejected.Samples[1].Gateway)
		assert.Contains(t, rejected.Samples[1].Detail, "line 3")
		assert.NotEmpty(t, rejected.Samples[1].Hub)
		assert.Equal(t, 59, h.count("samples_delivered_total"))

		for _, hub := range f {
			hub.kill()
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		err = h.e.Push(ctx, reports(3, gateways(5)...))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "5 samples are still queued")
		pushed := make(chan error)
		go func() { pushed <- h.e.Push(context.Background(), reports(4, gateways(5)...)) }()
		bubble.Pass(time.Second)
		var left *UndeliveredError
		require.ErrorAs(t, h.stop(), &left)
		require.ErrorIs(t, <-pushed, ErrDropped)
		require.ErrorIs(t, h.e.Push(context.Background(), reports(5, "a")), ErrClosed)
		h.balanced()
	})
}

// Flush returns when all that was submitted before is settled.
func TestFlush(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.BatchWait = time.Hour })
		require.NoError(t, h.e.Flush(context.Background()), "nothing to do")
		h.submit(1, gateways(50)...)
		require.NoError(t, h.e.Flush(context.Background()))
		assert.Equal(t, 50, h.count("samples_delivered_total"))

		f["hub-1"].say(reply{after: 3 * time.Second})
		h.submit(2, gateways(50)...)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.ErrorIs(t, h.e.Flush(ctx), context.DeadlineExceeded)
		require.NoError(t, h.e.Flush(context.Background()))
		assert.Equal(t, 100, h.count("samples_delivered_total"))

		for _, hub := range f {
			hub.kill()
		}
		h.submit(3, gateways(5)...)
		flushed := make(chan error)
		go func() { flushed <- h.e.Flush(context.Background()) }()
		bubble.Pass(time.Second)
		require.Error(t, h.stop())
		require.NoError(t, <-flushed, "what is dropped is settled")
	})
}

// What does not fit into memory goes to disk, and what is left at the end; the
// next exporter sends it, in order.
func TestSpool(t *testing.T) {
	dir := t.TempDir()
	hubs := newFleet(2)
	latest := map[string]int{}
	var mu sync.Mutex
	for _, hub := range hubs {
		hub.onPush = func(body string) {
			mu.Lock()
			defer mu.Unlock()
			for _, line := range sampleLines(body) {
				assert.LessOrEqual(t, valueOf(line)-latest[gatewayOf(line)], 1, line)
				assert.GreaterOrEqual(t, valueOf(line), latest[gatewayOf(line)], line)
				latest[gatewayOf(line)] = valueOf(line)
			}
		}
	}
	config := func(c *Config) { c.SpoolDir, c.MaxQueueBytes, c.CatchUp = dir, 3_000_000, 1e6 }
	value := 0
	for run := range 3 {
		virtual(t, func(t *testing.T) {
			for _, hub := range hubs {
				hub.kill()
			}
			h := start(t, hubs, config)
			bubble.Pass(time.Second)
			assert.Equal(t, value*1000, h.count("samples_restored_total"), "run %d", run)
			for range 100 {
				value++
				require.NoError(t, h.e.Submit(context.Background(), bulk(value, 50, gateways(20)...)))
				bubble.Pass(time.Second)
				assert.LessOrEqual(t, h.count("queue_bytes"), 3_000_000)
				h.balanced()
			}
			assert.Positive(t, h.count("samples_spilled_total"))
			require.NoError(t, h.stop(), "nothing is lost")
			assert.Equal(t, value*1000, h.count("spool_samples"))
			assert.Contains(t, h.log.String(), fmt.Sprintf("the next run sends them\" samples=%d", value*1000))
			h.balanced()
		})
	}
	virtual(t, func(t *testing.T) {
		for _, hub := range hubs {
			hub.revive()
		}
		h := start(t, hubs, config)
		bubble.Pass(time.Minute)
		assert.Equal(t, value*1000, h.count("samples_delivered_total"))
		assert.Zero(t, h.count("queue_samples"))
		h.balanced()
		require.NoError(t, h.stop())
		for _, id := range gateways(20) {
			assert.Equal(t, value, latest[id], id)
		}
	})
	virtual(t, func(t *testing.T) {
		h := start(t, hubs, config)
		bubble.Pass(time.Second)
		assert.Zero(t, h.count("samples_restored_total"), "nothing is sent twice")
		require.NoError(t, h.stop())
	})
}

// A full disk refuses, or drops its oldest.
func TestSpoolIsBounded(t *testing.T) {
	for _, policy := range []OverflowPolicy{RefuseNew, DropOldest} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			dir := t.TempDir()
			virtual(t, func(t *testing.T) {
				f := newFleet(1)
				f["hub-0"].kill()
				h := start(t, f, func(c *Config) {
					c.SpoolDir, c.SpoolBytes, c.MaxQueueBytes, c.Overflow = dir, 1_000_000, 1_000_000, policy
				})
				full := 0
				for value := 1; value <= 300; value++ {
					if err := h.e.Submit(context.Background(), bulk(value, 50, gateways(10)...)); err != nil {
						require.ErrorIs(t, err, ErrQueueFull)
						full++
					}
					bubble.Pass(time.Second)
					assert.LessOrEqual(t, h.count("queue_bytes"), 1_000_000)
					h.balanced()
				}
				dropped := h.count("samples_dropped_total", "queue_overflow")
				if policy == DropOldest {
					assert.Zero(t, full)
					assert.Positive(t, dropped)
				} else {
					assert.Positive(t, full)
					assert.Zero(t, dropped)
				}
				f["hub-0"].revive()
				bubble.Pass(time.Hour)
				h.balanced()
				require.NoError(t, h.stop())
				assert.Equal(t, 150_000, h.count("samples_delivered_total")+dropped+h.count("samples_dropped_total", "queue_full"))
			})
		})
	}
}

// bulk is reports of several samples each.
func bulk(value, samples int, gateways ...string) []magma.MetricAndContext {
	items := reports(value, gateways...)
	for _, item := range items {
		first := item.Family.Metric[0]
		item.Family.Metric = nil
		for i := range samples {
			n := fmt.Sprint("a_rather_long_value_of_a_label,_number_", i)
			item.Family.Metric = append(item.Family.Metric, &dto.Metric{
				Gauge: first.Gauge, Label: []*dto.LabelPair{{Name: proto.String("n"), Value: &n}},
			})
		}
	}
	return items
}
