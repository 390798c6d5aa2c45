package exporter

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
)

// inOrder checks that the values of each gateway ascend. A value that comes again
// is one whose answer was lost.
func inOrder(t *testing.T, name string, lines []string) {
	t.Helper()
	last := map[string]int{}
	for _, line := range lines {
		id, value := gatewayOf(line), valueOf(line)
		require.GreaterOrEqual(t, value, last[id], "%s, gateway %q", name, id)
		last[id] = value
	}
}

// A dead hub's gateways spread over all others, nobody else moves, nothing is
// lost, and when it lives again they come home.
func TestFailoverAndBack(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(4)
		h := start(t, f)
		ids := gateways(400)
		value := 0
		round := func() map[string][]string {
			value++
			before := map[string]int{}
			for name, hub := range f {
				before[name] = len(hub.lines())
			}
			h.submit(value, ids...)
			bubble.Pass(time.Second)
			homes := map[string][]string{}
			for name, hub := range f {
				homes[name] = gatewaysOf(hub.lines()[before[name]:])
			}
			return homes
		}
		home := round()
		lost := home["hub-2"]
		require.NotEmpty(t, lost)

		f["hub-2"].kill()
		for range 3 {
			away := round()
			assert.Empty(t, away["hub-2"])
			for _, name := range []string{"hub-0", "hub-1", "hub-3"} {
				assert.Subset(t, away[name], home[name], "who lives keeps its own")
				took := len(away[name]) - len(home[name])
				assert.InDelta(t, len(lost)/3, took, float64(len(lost))*0.15, "%s took over", name)
			}
		}
		assert.Equal(t, 0, h.count("hub_up", "hub-2"))
		assert.Equal(t, len(lost), h.count("samples_rerouted_total", "hub-2"), "only what was queued there")

		f["hub-2"].revive()
		bubble.Pass(10 * time.Second)
		assert.Equal(t, 1, h.count("hub_up", "hub-2"))
		assert.Equal(t, home, round())

		require.NoError(t, h.stop())
		assert.Equal(t, 5*400, h.count("samples_delivered_total"))
		for name, hub := range f {
			inOrder(t, name, hub.lines())
		}
		assert.Equal(t, 1, strings.Count(h.log.String(), "Hub is down"), "once per transition")
		assert.Equal(t, 1, strings.Count(h.log.String(), "Hub is up"))
		assert.Contains(t, h.log.String(), `reason="dial tcp: connection refused"`)
		assert.Contains(t, h.log.String(), `samples_moved="hub-0: `)
	})
}

// Between a hub's death and its first sample elsewhere lies no waiting.
func TestFailoverIsQuick(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f)
		f["hub-0"].kill()
		h.submit(1, gateways(20)...)
		bubble.Pass(250 * time.Millisecond)
		assert.Equal(t, 20, h.count("samples_delivered_total", "hub-1"))
		require.NoError(t, h.stop())
	})
}

// A hub that hangs counts as dead after PushTimeout.
func TestHangingHub(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		h := start(t, f, func(c *Config) { c.PushTimeout = 2 * time.Second })
		f["hub-0"].answer(reply{after: time.Hour}, reply{after: time.Hour})
		h.submit(1, gateways(20)...)
		bubble.Pass(3 * time.Second)
		assert.Equal(t, 20, h.count("samples_delivered_total", "hub-1"))
		assert.Contains(t, h.log.String(), "no answer within PushTimeout")
		require.NoError(t, h.stop())
	})
}

// With every hub down samples wait, and go out in order when one returns.
func TestAllHubsDown(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		for _, hub := range f {
			hub.kill()
		}
		h := start(t, f)
		for value := range 50 {
			h.submit(value, gateways(30)...)
			bubble.Pass(time.Minute)
		}
		assert.Equal(t, 50*30, h.count("queue_samples"))
		assert.Zero(t, h.count("hub_up"))

		f["hub-1"].revive()
		bubble.Pass(30 * time.Second)
		assert.Equal(t, 50*30, h.count("samples_delivered_total", "hub-1"))
		assert.Zero(t, h.count("queue_samples"))
		inOrder(t, "hub-1", f["hub-1"].lines())
		require.NoError(t, h.stop())
		h.balanced()
	})
}

// A parcel that a hub refuses is found by halving; its neighbours arrive.
func TestPoisonousParcel(t *testing.T) {
	virtual(t, func(t *testing.T) {
		for _, poisoned := range []int{0, 1, 17, 31} {
			f := newFleet(1)
			hub := f["hub-0"]
			hub.poison = fmt.Sprintf("gw-%03d", poisoned)
			h := start(t, f)
			h.submit(1, gateways(32)...)
			bubble.Pass(time.Second)
			assert.Len(t, hub.lines(), 31)
			assert.Equal(t, 31, h.count("samples_delivered_total"))
			assert.Equal(t, 1, h.count("samples_dropped_total", "rejected_400"))
			assert.Equal(t, 1, h.count("hub_up"), "the hub is not at fault")
			assert.LessOrEqual(t, hub.pushed(), 11)
			assert.Contains(t, h.log.String(), "gateway="+hub.poison)
			assert.Contains(t, h.log.String(), "line 3: ")
			h.balanced()
			h.submit(2, "gw-100")
			require.NoError(t, h.stop())
			assert.Equal(t, 32, h.count("samples_delivered_total"))
		}
	})
}

// The hub dies while a refused request is halved: what is settled stays so, the
// rest goes elsewhere, in order.
func TestDeathWhileHalving(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		refuse := reply{status: 400, body: "line 1: no"}
		f["hub-0"].say(refuse, reply{}, dead)
		f["hub-0"].answer(dead, dead)
		h := start(t, f)
		for value := 1; value <= 3; value++ {
			h.submit(value, gateways(40)...)
		}
		bubble.Pass(time.Second)
		assert.NotEmpty(t, f["hub-0"].lines(), "the first half")
		assert.Equal(t, 120, len(f["hub-0"].lines())+len(f["hub-1"].lines()))
		assert.Equal(t, 120, h.count("samples_delivered_total"))
		inOrder(t, "hub-1", f["hub-1"].lines())
		require.NoError(t, h.stop())
		h.balanced()
	})
}

func TestTooLargeIsHalved(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].say(reply{status: 413}, reply{}, reply{status: 413}, reply{status: 413})
		h := start(t, f)
		h.submit(1, gateways(4)...)
		bubble.Pass(time.Second)
		// 4: 413; 2: taken; 2: 413; 1: 413, dropped; 1: taken.
		assert.Equal(t, 1, h.count("samples_dropped_total", "rejected_413"))
		assert.Len(t, f["hub-0"].lines(), 3)
		require.NoError(t, h.stop())
		h.balanced()
	})
}

// A hub that is full sends its gateways elsewhere for as long as it says.
func TestRetryAfterIsHonoured(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		hub := f["hub-0"]
		hub.say(reply{status: 429, header: http.Header{"Retry-After": {"30"}}, body: "the log is full"})
		h := start(t, f)
		h.submit(1, gateways(40)...)
		bubble.Pass(29 * time.Second)
		assert.Len(t, f["hub-1"].lines(), 40)
		assert.Equal(t, 1, hub.asked(), "left alone")
		bubble.Pass(2 * time.Second)
		assert.Equal(t, 2, h.count("hub_up"))
		assert.Contains(t, h.log.String(), "status 429: the log is full")
		h.submit(2, gateways(40)...)
		bubble.Pass(time.Second)
		assert.NotEmpty(t, hub.lines())
		require.NoError(t, h.stop())
	})
}

// A hub that takes pushes of nothing and refuses all others is tried less and less often.
func TestProbeAloneDoesNotResetTheBackoff(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		f["hub-0"].say(slices.Repeat([]reply{{status: 500}}, 1000)...)
		h := start(t, f, func(c *Config) { c.MaxBackoff = 10 * time.Second })
		for value := range 120 {
			h.submit(value, gateways(20)...)
			bubble.Pass(time.Second)
		}
		assert.Equal(t, 120*20, h.count("samples_delivered_total", "hub-1"))
		assert.Less(t, f["hub-0"].pushed(), 30)
		require.NoError(t, h.stop())
	})
}

// An answer that is lost makes samples arrive twice, with equal timestamps, but
// they are counted once and no sample is lost.
func TestLostAnswer(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].say(reply{lost: true})
		h := start(t, f)
		h.submit(1, "a")
		bubble.Pass(5 * time.Second)
		lines := f["hub-0"].lines()
		require.Len(t, lines, 2)
		assert.Equal(t, lines[0], lines[1])
		assert.Equal(t, 1, h.count("samples_delivered_total"))
		require.NoError(t, h.stop())
	})
}

// A gateway whose samples are in flight elsewhere when its hub returns comes home
// after that request, so that none of its samples overtakes another.
func TestComingHomeKeepsTheOrder(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		home, other := f["hub-0"], f["hub-1"]
		home.kill()
		h := start(t, f, func(c *Config) { c.MaxBackoff = time.Second })
		ids := gateways(40)
		h.submit(1, ids...)
		bubble.Pass(2 * time.Second)
		require.Len(t, other.lines(), 40)

		other.say(reply{after: 5 * time.Second, err: errRefused})
		other.answer(dead, dead)
		h.submit(2, ids...)
		bubble.Pass(time.Second) // in flight at the other
		home.revive()
		bubble.Pass(2 * time.Second)
		require.Equal(t, 2, h.count("hub_up"))
		h.submit(3, ids...)
		bubble.Pass(time.Second)
		assert.Empty(t, home.lines(), "nothing overtakes what is in flight")
		bubble.Pass(5 * time.Second) // the request at the other fails
		assert.Len(t, home.lines(), 80)
		inOrder(t, "hub-0", home.lines())
		require.NoError(t, h.stop())
	})
}

// Two firmwares that disagree on a type do not spoil each other's requests.
func TestTypesThatDisagree(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		var items []magma.MetricAndContext
		for i, id := range gateways(20) {
			text := `name:"m" type:GAUGE metric:{gauge:{value:1}}`
			if i%2 == 1 {
				text = `name:"m" type:COUNTER metric:{counter:{value:1}}`
			}
			items = append(items, magma.MetricAndContext{Family: family(t, text), Context: magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{GatewayID: id}}})
		}
		require.NoError(t, h.e.Submit(context.Background(), items))
		require.NoError(t, h.stop())
		assert.Len(t, f["hub-0"].lines(), 20)
		assert.Equal(t, 2, f["hub-0"].pushed())
		assert.Zero(t, h.count("samples_dropped_total"))
	})
}
