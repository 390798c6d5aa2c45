package exporter

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/exposition"
)

// A hub that says that it is ready, and hangs or refuses whatever is pushed to it, does not
// get its gateways back until it takes a push.
func TestReadyHubThatTakesNoPush(t *testing.T) {
	for name, push := range map[string]reply{
		"hangs":        {after: time.Hour},
		"refuses":      {status: 503, header: http.Header{exposition.ReasonHeader: {"too_many_pushes"}}},
		"fails":        {status: 500},
		"no push here": {status: 404},
		"unauthorized": {status: 401, body: "Unauthorized"},
		"forbidden":    {status: 403},
		"moved":        {status: 302, header: http.Header{"Location": {"http://hub-0/metrics"}}},
		"a page":       {alien: true, body: "<html>"},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				f := newFleet(2)
				f["hub-1"].answer(push, reply{})
				h := start(t, f, func(c *Config) { c.PushTimeout = 2 * time.Second })
				for value := range 120 {
					h.submit(value, gateways(20)...)
					bubble.Pass(time.Second)
				}
				assert.Equal(t, 0, h.count("hub_up", "hub-1"))
				assert.LessOrEqual(t, f["hub-1"].pushed(), 2, "no more than one of each sender")
				hub := asJSON(t, h.e, "").Hubs[1]
				assert.Contains(t, hub.LastError, "an empty push: ")
				assert.Less(t, time.Since(hub.LastErrorAt), 10*time.Second)
				f["hub-1"].revive()
				bubble.Pass(10 * time.Second)
				assert.Equal(t, 1, h.count("hub_up", "hub-1"))
				h.submit(120, gateways(20)...)
				require.NoError(t, h.stop())
				assert.NotEmpty(t, f["hub-1"].lines())
				assert.Equal(t, 121*20, h.count("samples_delivered_total"))
			})
		})
	}
}

// A hub that is not ready, or whose readiness somebody else answers for, is sent no push.
func TestHubThatIsNotReadyIsNotTried(t *testing.T) {
	for name, ready := range map[string]reply{
		"stopping":     {status: 503},
		"unauthorized": {status: 401},
		"forbidden":    {status: 403},
		"not found":    {status: 404},
		"moved":        {status: 307, header: http.Header{"Location": {"http://hub-0/-/ready"}}},
		"a page":       {alien: true, body: "<html>"},
		"hangs":        {after: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			virtual(t, func(t *testing.T) {
				f := newFleet(2)
				f["hub-1"].kill()
				h := start(t, f)
				h.submit(1, gateways(20)...)
				bubble.Pass(time.Second)
				f["hub-1"].answer(reply{}, ready)
				bubble.Pass(time.Minute)
				assert.Equal(t, 0, h.count("hub_up", "hub-1"))
				assert.NotContains(t, f["hub-1"].said(), "TRIAL /metrics")
				assert.NotContains(t, asJSON(t, h.e, "").Hubs[1].LastError, "an empty push")
				require.NoError(t, h.stop())
			})
		})
	}
}
