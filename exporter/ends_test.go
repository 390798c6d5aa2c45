package exporter

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/exposition"
)

// overloaded makes a hub refuse pushes and probes, and nothing else.
func (h *fakeHub) overloaded() {
	no := reply{status: http.StatusServiceUnavailable, header: http.Header{exposition.ReasonHeader: {"full"}}}
	h.answer(no, no)
}

// told is how a hub is told of gateways.
func told(at time.Time, ids ...string) []string {
	var lines []string
	for _, id := range ids {
		lines = append(lines, fmt.Sprintf("%s %d", id, at.UnixMilli()))
	}
	return lines
}

// since returns the gateways of samples that the hub took in after the first n.
func (h *fakeHub) since(n int) []string { return gatewaysOf(h.lines()[n:]) }

// Nobody is told before the new hub's server can have scraped, and a gateway that returns meanwhile is told of first.
func TestEndsWaitForTheNewHubsServer(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.EndsDelay = time.Minute })
		ids := gateways(60)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		hub := f["hub-1"]
		away := hub.since(0)
		require.NotEmpty(t, away)

		hub.overloaded()
		bubble.Pass(time.Minute)
		left := time.Now()
		h.submit(2, ids...)
		bubble.Pass(59 * time.Second)
		assert.Empty(t, hub.heard(), "not yet")
		assert.Equal(t, len(away), h.count("ends_waiting"))
		bubble.Pass(2 * time.Second)
		assert.Equal(t, told(left, away...), hub.heard())
		require.NoError(t, h.stop())
	})
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.EndsDelay = time.Hour })
		ids := gateways(60)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		hub := f["hub-1"]
		away := hub.since(0)
		hub.overloaded()
		bubble.Pass(time.Minute)
		left := time.Now()
		h.submit(2, ids...)
		bubble.Pass(time.Second)
		hub.revive()
		bubble.Pass(time.Minute)
		assert.Empty(t, hub.heard(), "no samples yet")
		before := len(hub.lines())
		h.submit(3, ids...)
		bubble.Pass(10 * time.Second)
		assert.Equal(t, told(left, away...), hub.heard(), "before it gets samples again")
		assert.ElementsMatch(t, away, hub.since(before))
		require.NoError(t, h.stop())
		var others []string
		for name, other := range f {
			if name != "hub-1" {
				others = append(others, other.heard()...)
			}
		}
		assert.Len(t, others, len(away), "those who stood in are told when the controller stops")
	})
}

// A hub that steps back is told who went elsewhere, and since when, though it takes no
// samples; so are those who stood in when it is back.
func TestEndsOfAFailoverAndBack(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f)
		ids := gateways(60)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		hub := f["hub-1"]
		away := hub.since(0)
		require.NotEmpty(t, away)

		hub.overloaded()
		bubble.Pass(time.Minute)
		left := time.Now()
		h.submit(2, ids...)
		bubble.Pass(time.Second)
		assert.Equal(t, told(left, away...), hub.heard(), "in the time of the first sample elsewhere")
		assert.Equal(t, 1, hub.tells, "in one request")
		for range 5 {
			h.submit(3, ids...)
			bubble.Pass(time.Minute) // also the last ones arrive where the others do
		}
		assert.Len(t, hub.heard(), len(away), "once")

		hub.revive()
		bubble.Pass(10 * time.Second)
		back := time.Now()
		h.submit(4, ids...)
		bubble.Pass(10 * time.Second) // a hub that returns is given little at once
		heard := append(f["hub-0"].heard(), f["hub-2"].heard()...)
		assert.ElementsMatch(t, told(back, away...), heard)
		assert.Len(t, hub.heard(), len(away))
		assert.Equal(t, 2*len(away), h.count("ends_total", "told"))
		assert.Zero(t, h.count("ends_waiting"))
		require.NoError(t, h.stop())
		h.balanced()
	})
}

// A hub that is dead for long is told when it is back, before it gets samples of those who
// had left it.
func TestDeadHubIsToldBeforeItGetsSamples(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hub := f["hub-0"]
		h := start(t, f)
		ids := gateways(40)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		away := hub.since(0)
		require.NotEmpty(t, away)

		hub.kill()
		left := time.Now()
		for range 240 {
			h.submit(2, ids...)
			bubble.Pass(30 * time.Second)
		}
		assert.Empty(t, hub.heard())
		assert.LessOrEqual(t, hub.tells, 5, "it is probed anyway")
		assert.Equal(t, len(away), h.count("ends_waiting"))

		hub.onPush = func(string) { assert.Len(t, hub.ends, len(away), "told first") }
		h.submit(3, ids...) // waits where it is when the hub returns
		hub.revive()
		bubble.Pass(10 * time.Second)
		h.submit(4, ids...)
		bubble.Pass(10 * time.Second)
		assert.Equal(t, told(left, away...), hub.heard())
		assert.Len(t, f["hub-1"].heard(), len(away))
		assert.Zero(t, h.count("ends_total", "overtaken"))
		require.NoError(t, h.stop())
	})
}

// changing is a Membership that a test changes.
type changing struct {
	mu   sync.Mutex
	hubs []Hub
}

func (c *changing) set(hubs ...Hub) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hubs = hubs
}

// Hubs implements Membership.
func (c *changing) Hubs(context.Context) ([]Hub, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hubs, nil
}

// In a rescale every hub is told whom it lost, also one that left the ring.
func TestEndsOfARescale(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(5)
		members := &changing{}
		all := f.hubs()
		few := hubsOf("hub-0", "hub-1", "hub-2")
		members.set(few...)
		h := start(t, f, func(c *Config) { c.Hubs, c.Members = nil, members })
		ids := gateways(200)
		home := map[string]string{}
		var expected []string // hub, gateway and time of each move
		round := func(value int) {
			before := map[string]int{}
			for name, hub := range f {
				before[name] = len(hub.lines())
			}
			now := time.Now()
			h.submit(value, ids...)
			bubble.Pass(time.Second)
			for name, hub := range f {
				for _, id := range hub.since(before[name]) {
					if was := home[id]; was != "" && was != name {
						expected = append(expected, was+" "+told(now, id)[0])
					}
					home[id] = name
				}
			}
		}
		rescale := func(hubs []Hub) {
			members.set(hubs...)
			bubble.Pass(2 * time.Minute)
		}
		bubble.Pass(time.Second)
		round(1)
		rescale(all)
		round(2)
		grown := len(expected)
		assert.InDelta(t, 80, grown, 25)
		rescale(few)
		round(3)
		assert.Greater(t, len(expected), grown)
		round(4)
		var heard []string
		for name, hub := range f {
			for _, line := range hub.heard() {
				heard = append(heard, name+" "+line)
			}
		}
		assert.ElementsMatch(t, expected, heard)
		assert.Equal(t, len(expected), h.count("ends_total", "told"))
		require.NoError(t, h.stop())
	})
}

func hubsOf(names ...string) []Hub {
	var hubs []Hub
	for _, name := range names {
		hubs = append(hubs, Hub{URL: "http://" + name})
	}
	return hubs
}

// An end that was put off for samples which then do not get through is told after all, as
// of the first move.
func TestEndThatWasPutOff(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hub := f["hub-0"]
		hub.ended = reply{status: 500}
		h := start(t, f)
		ids := gateways(20)
		h.submit(1, ids...)
		bubble.Pass(time.Second)
		away := hub.since(0)
		hub.overloaded()
		left := time.Now()
		h.submit(2, ids...)
		bubble.Pass(time.Minute)
		hub.revive()
		hub.mu.Lock()
		hub.ended = reply{status: 500}
		hub.mu.Unlock()
		hub.say(slices.Repeat([]reply{{status: 503}}, 1000)...) // takes pushes of nothing only
		bubble.Pass(10 * time.Second)
		h.submit(3, ids...)
		bubble.Pass(time.Minute)
		assert.Empty(t, hub.heard())
		assert.Equal(t, len(away), h.count("ends_waiting"))
		hub.mu.Lock()
		hub.ended = reply{}
		hub.mu.Unlock()
		bubble.Pass(time.Minute)
		assert.Equal(t, told(left, away...), hub.heard())
		assert.Zero(t, h.count("ends_total", "overtaken"))
		require.NoError(t, h.stop())
	})
}

// A hub that may have taken something in is told, too. One that never was reached is not.
func TestEndsOfWhatIsInDoubt(t *testing.T) {
	for _, way := range []struct {
		name  string
		reply reply
		ends  bool
	}{
		{"answer lost", reply{lost: true}, true},
		{"no answer", reply{after: time.Hour}, true},
		{"a proxy's word", reply{status: 504}, true},
		{"the hub's word", reply{status: 503, header: http.Header{"Hubring-Reason": {"stopping"}}}, false},
		{"full", reply{status: 429}, false},
	} {
		t.Run(way.name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				f := newFleet(2)
				hub := f["hub-0"]
				hub.answer(way.reply, reply{status: 503})
				h := start(t, f)
				ids := gateways(20)
				now := time.Now()
				h.submit(1, ids...)
				bubble.Pass(time.Minute)
				require.Len(t, f["hub-1"].lines(), 20)
				if !way.ends {
					assert.Zero(t, hub.tells)
				} else {
					heard := hub.heard()
					require.NotEmpty(t, heard)
					assert.Less(t, len(heard), 20)
					for _, line := range heard {
						assert.Contains(t, told(now, ids...), line)
					}
				}
				require.NoError(t, h.stop())
			})
		})
	}
}

// A push that was taken in, lost its connection and was refused when net/http sent it again,
// unseen, may be there all the same.
func TestEndsOfWhatWasSentAgainUnseen(t *testing.T) {
	virtual(t, func(t *testing.T) {
		n := exportertest.NewNetwork()
		defer n.Close()
		hub, other := n.Add("hub-0"), n.Add("hub-1")
		h := start(t, newFleet(2), func(c *Config) { c.Transport = n.Transport() })
		var ids []string // at hub-0
		for _, id := range gateways(100) {
			if h.e.queue.Snapshot(time.Now()).Ring.Owner(id).Name == "hub-0" {
				ids = append(ids, id)
			}
		}
		h.submit(1, ids[0]) // for a connection
		bubble.Pass(time.Second)
		hub.Reply(exportertest.Reply{Lost: true}, exportertest.Reply{Status: 422})
		h.submit(2, ids[1])
		bubble.Pass(time.Second)
		require.Len(t, hub.Samples(), 2)
		require.Equal(t, 1, h.count("samples_dropped_total", "rejected_422"))
		full := exportertest.Reply{Status: 503, Header: http.Header{exposition.ReasonHeader: {"full"}}}
		hub.Always(full)
		hub.Ready(full)
		h.submit(3, ids[1])
		bubble.Pass(time.Second)
		require.Len(t, other.Samples(), 1)
		require.Len(t, hub.Ends(), 1)
		assert.Equal(t, ids[1], hub.Ends()[0].Gateway)
		assert.Equal(t, other.Samples()[0].Timestamp, hub.Ends()[0].Timestamp)
		require.NoError(t, h.stop())
	})
}

// The time that is told is that of the earliest sample, whatever the order, and the times
// are the senders' own.
func TestEndsAreOfTheEarliestSample(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f, func(c *Config) { c.BatchBytes = 300 }) // a few parcels a request
		submit := func(gateway string, stamps ...int64) {
			items := reports(1, gateway)
			m := items[0].Family.Metric[0]
			items[0].Family.Metric = nil
			for _, ms := range stamps {
				items[0].Family.Metric = append(items[0].Family.Metric, &dto.Metric{Gauge: m.Gauge, TimestampMs: proto.Int64(ms)})
			}
			require.NoError(t, h.e.Submit(context.Background(), items))
		}
		id := f.gatewayAt(t, h, "hub-0")
		submit(id, 1000)
		bubble.Pass(time.Second)
		f["hub-0"].overloaded()
		submit(id, 7000, 5000, 6000)
		submit(id, 4000)
		submit(id, 8000)
		bubble.Pass(time.Second)
		submit(id, 3000) // comes late
		bubble.Pass(time.Second)
		assert.Equal(t, []string{id + " 4000"}, f["hub-0"].heard())
		require.NoError(t, h.stop())
	})
}

// gatewayAt returns a gateway whose home the hub is.
func (f fleet) gatewayAt(t *testing.T, h *harness, hub string) string {
	t.Helper()
	for _, id := range gateways(1000) {
		if h.e.queue.Snapshot(time.Now()).Ring.Owner(id).Name == hub {
			return id
		}
	}
	require.Fail(t, "no gateway")
	return ""
}

// With NoEnds nobody is told.
func TestNoEnds(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f, func(c *Config) { c.NoEnds = true })
		for value := range 3 {
			h.submit(value, gateways(20)...)
			bubble.Pass(time.Second)
			f["hub-0"].overloaded()
		}
		require.NoError(t, h.stop())
		assert.Zero(t, f["hub-0"].tells)
		assert.Zero(t, h.count("ends_total"))
		assert.Empty(t, h.e.StatusOf(gateways(1)[0]).Gateway.At, "nobody remembers where it is")
	})
}

// Samples that a hub refuses do not bring their gateway back there: it is told after all
// that the gateway left, though nothing of it comes again.
func TestEndIsToldWhenTheHubRefusesWhoReturns(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f, func(c *Config) { c.EndsDelay = time.Minute })
		gw := h.gatewaysOn("hub-0", 1)[0]
		h.submit(1, gw)
		bubble.Pass(time.Second)
		f["hub-0"].kill()
		h.submit(2, gw)
		bubble.Pass(time.Second)
		f["hub-0"].revive()
		bubble.Pass(10 * time.Second)
		change := func(poison string, ended reply) {
			f["hub-0"].mu.Lock()
			defer f["hub-0"].mu.Unlock()
			f["hub-0"].poison, f["hub-0"].ended = poison, ended
		}
		change("} 3 ", reply{status: http.StatusServiceUnavailable})
		h.submit(3, gw)
		bubble.Pass(10 * time.Second)
		require.Equal(t, 1, h.count("samples_dropped_total", "rejected_400"))
		change("} 3 ", reply{})
		bubble.Pass(5 * time.Minute)
		require.Len(t, f["hub-0"].heard(), 1)
		assert.Contains(t, f["hub-0"].heard()[0], gw)
		require.NoError(t, h.stop())
	})
}
