package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"html"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/exporter/status"
	"github.com/hubring/hubring/internal/bubble"
	"github.com/hubring/hubring/internal/exposition"
)

var updateStatus = flag.Bool("update-status", false, "write testdata/status*.json anew")

// ask requests the status. A header is a name and a value.
func ask(t testing.TB, e *Exporter, method, target string, header ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, target, nil)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Add(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	e.Handler().ServeHTTP(w, req)
	return w.Result()
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

// asJSON returns the status as a program reads it.
func asJSON(t testing.TB, e *Exporter, query string) (s status.Report) {
	t.Helper()
	resp := ask(t, e, http.MethodGet, "/?format=json&"+query)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&s))
	return s
}

// asPage returns the status as a person reads it, with spaces run together.
func asPage(t testing.TB, e *Exporter, query string) string {
	t.Helper()
	resp := ask(t, e, http.MethodGet, "/?"+query)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	text := startTag.ReplaceAllString(endTag.ReplaceAllString(bodyOf(t, resp), ""), " ")
	return strings.Join(strings.Fields(html.UnescapeString(text)), " ")
}

var (
	startTag = regexp.MustCompile(`<[a-z!][^>]*>`)
	endTag   = regexp.MustCompile(`(?s)<style>.*</style>|</[^>]*>`)
)

// memory is what a change of the encoding may change.
var memory = regexp.MustCompile(`("(?:queued_)?bytes": )[1-9][0-9]*`)

func golden(t *testing.T, name string, resp *http.Response) {
	t.Helper()
	got := memory.ReplaceAllString(bodyOf(t, resp), `${1}"some"`)
	path := "testdata/" + name
	if *updateStatus {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), got, "run the test with -update-status if that is meant")
}

// inTrouble runs an exporter of three hubs of which one is down and one is slow.
func inTrouble(t *testing.T, test func(h *harness)) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		busy := reply{after: time.Second / 2, status: http.StatusServiceUnavailable, body: "<b>busy</b>", header: http.Header{"Retry-After": {"30"}}}
		f["hub-1"].answer(busy, busy)
		f["hub-2"].answer(reply{after: 5 * time.Second}, reply{})
		h := start(t, f)
		h.submit(1, gateways(20)...)
		nameless := reports(1, "gw-bad")
		nameless[0].Family.Name = nil
		require.ErrorAs(t, h.e.Submit(context.Background(), nameless), new(*RejectedError))
		bubble.Pass(2 * time.Second)
		test(h)
		require.NoError(t, h.stop())
	})
}

// The names in JSON are promised.
func TestStatusJSON(t *testing.T) {
	inTrouble(t, func(h *harness) {
		resp := ask(t, h.e, http.MethodGet, "/status?format=json&gateway=gw-000")
		assert.Equal(t, "application/json", resp.Header.Get("Content-Type"))
		golden(t, "status.json", resp)
	})
}

// Before the first answer of Members there is no ring, and everything waits.
// What a program is told in Go is what it reads as JSON.
func TestStatusInGo(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		f["hub-1"].kill()
		h := start(t, f)
		h.submit(1, gateways(20)...)
		bubble.Pass(time.Second)
		assert.Equal(t, asJSON(t, h.e, ""), h.e.Status())
		assert.Nil(t, h.e.Status().Gateway)
		assert.Equal(t, asJSON(t, h.e, "gateway=gateway-7"), h.e.StatusOf("gateway-7"))
		assert.Equal(t, "gateway-7", h.e.StatusOf("gateway-7").Gateway.ID)
		got := h.e.Status()
		got.Totals.Dropped["mine"], got.Hubs[0].Name = 1, "mine" // nobody else's
		assert.NotEqual(t, got, h.e.Status())
		require.NoError(t, h.stop())
		assert.Equal(t, "closed", h.e.Status().State)
	})
}

func TestStatusWithoutMembers(t *testing.T) {
	virtual(t, func(t *testing.T) {
		members := &scriptedMembers{err: errors.New("no route to http://admin:s3cret@consul:8500/v1")}
		f := newFleet(2)
		h := start(t, f, func(c *Config) { c.Hubs, c.Members = nil, members })
		h.submit(1, "gw-0", "gw-1")
		bubble.Pass(time.Second)

		s := asJSON(t, h.e, "gateway=gw-0")
		assert.Equal(t, "running", s.State)
		assert.Equal(t, status.Ring{}, s.Ring)
		assert.Equal(t, []status.Hub{}, s.Hubs)
		assert.Equal(t, 2, s.Queue.Samples)
		assert.Equal(t, 2, s.Queue.Gateways)
		assert.InDelta(t, 1, s.Queue.OldestSeconds, 1e-9)
		assert.Equal(t, &status.Gateway{ID: "gw-0", Walk: []status.Step{}, Untold: []status.Untold{}, QueuedSamples: 1}, s.Gateway)
		assert.Equal(t, "other", s.Members.Source)
		assert.Equal(t, "*exporter.scriptedMembers", s.Members.Detail)
		assert.Equal(t, "no route to http://***@consul:8500/v1", s.Members.LastError)
		assert.Equal(t, s.Members.Lookups, s.Members.Failures)
		assert.NotZero(t, s.Members.Failures)
		assert.Zero(t, s.Members.LastSuccess)

		page := asPage(t, h.e, "gateway=gw-0")
		assert.Contains(t, page, "exporter: no hub is known yet")
		assert.Contains(t, page, "No hub is known yet: 1 sample queued.")
		assert.Contains(t, page, "Last good answer never")
		assert.NotContains(t, page, "s3cret")

		members.set(f.hubs(), nil)
		bubble.Pass(time.Minute)
		s = asJSON(t, h.e, "gateway=gw-0")
		assert.Equal(t, 2, s.Ring.Hubs)
		assert.Len(t, s.Ring.Fingerprint, 16)
		assert.Equal(t, uint64(2), s.Totals.Delivered)
		assert.Empty(t, s.Members.LastError)
		require.NoError(t, h.stop())
	})
}

// Members that are held or not believed yet are named.
func TestStatusOfMembers(t *testing.T) {
	virtual(t, func(t *testing.T) {
		members := &scriptedMembers{}
		hubs := []Hub{{URL: "http://hub-0", Weight: 2}, {URL: "http://hub-1"}}
		members.set(hubs, nil)
		h := start(t, newFleet(3), func(c *Config) { c.Hubs, c.Members = nil, members })
		bubble.Pass(time.Second)
		members.set([]Hub{hubs[0], {URL: "http://hub-2"}}, nil)
		for range 110 { // until the next lookup
			if bubble.Pass(100 * time.Millisecond); len(asJSON(t, h.e, "").Members.Fresh) > 0 {
				break
			}
		}
		golden(t, "status_members.json", askAtRest(t, h.e))
		page := asPage(t, h.e, "")
		assert.Contains(t, page, "Not named any more hub-1")
		assert.Contains(t, page, "Named once hub-2")

		hubs[0].Weight = 3
		members.set(hubs, nil)
		bubble.Pass(15 * time.Second)
		assert.InDelta(t, 3, asJSON(t, h.e, "").Hubs[0].Weight, 0)
		require.NoError(t, h.stop())
	})
}

// askAtRest returns the status with its times, which depend on chance, alike.
func askAtRest(t *testing.T, e *Exporter) *http.Response {
	resp := ask(t, e, http.MethodGet, "/?format=json")
	text := regexp.MustCompile(`"2000-01-01T[^"]*"`).ReplaceAllString(bodyOf(t, resp), `"2000-01-01T00:00:00Z"`)
	w := httptest.NewRecorder()
	_, _ = w.WriteString(text)
	return w.Result()
}

// describedMembers says what it is.
type describedMembers struct{ Membership }

func (describedMembers) Describe() (source, detail string) {
	return "consul", "http://user:secret@consul/hubs"
}

func TestStatusSaysWhereTheHubsComeFrom(t *testing.T) {
	for _, c := range []struct {
		members        Membership
		source, detail string
	}{
		{members.DNS{Name: "_http._tcp.edgehub."}, "dns", "SRV _http._tcp.edgehub."},
		{&members.DNS{Name: "edgehub", Type: "A", Port: 9091}, "dns", "A edgehub"},
		{members.File{Path: "/etc/hubs.yaml"}, "file", "/etc/hubs.yaml"},
		{&members.File{Path: "hubs.json"}, "file", "hubs.json"},
		{&scriptedMembers{}, "other", "*exporter.scriptedMembers"},
		{describedMembers{}, "consul", "http://***@consul/hubs"},
	} {
		e, err := New(Config{Members: c.members})
		require.NoError(t, err)
		shown := asJSON(t, e, "").Members
		assert.Equal(t, c.source, shown.Source)
		assert.Equal(t, c.detail, shown.Detail)
	}
}

// A hub that is down, and a gateway whose home it is.
func TestStatusOfAHubThatIsDown(t *testing.T) {
	inTrouble(t, func(h *harness) {
		page := asPage(t, h.e, "")
		assert.Contains(t, page, "exporter: 1 of 3 hubs down")
		assert.Contains(t, page, "hub-1 http://hub-1 down went down 1.3s ago, 1 failure next probe in 28.7s")
		assert.Contains(t, page, "1.3s ago: status 503: <b>busy</b>")
		assert.Contains(t, page, "Dropped, empty_name 1")
		assert.Less(t, strings.Index(page, "hub-1"), strings.Index(page, "hub-0"), "trouble comes first")

		gateway := homeOf(t, h.e, "hub-1")
		s := asJSON(t, h.e, "gateway="+gateway)
		require.Len(t, s.Gateway.Walk, 3)
		assert.Equal(t, status.Step{Hub: "hub-1", State: "down"}, s.Gateway.Walk[0])
		assert.Equal(t, "hub-1", s.Gateway.Owner)
		assert.Equal(t, s.Gateway.Walk[1].Hub, s.Gateway.InUse)
		page = asPage(t, h.e, "gateway="+gateway)
		assert.Contains(t, page, "Its home is hub-1. Its samples go to "+s.Gateway.InUse+" now.")
		assert.Contains(t, page, "home hub-1 down 1 "+s.Gateway.InUse+" up in use 2")
	})
}

// homeOf returns a gateway whose home the hub is.
func homeOf(t *testing.T, e *Exporter, hub string) string {
	t.Helper()
	for _, id := range gateways(100) {
		if e.queue.Snapshot(time.Now()).Ring.Owner(id).Name == hub {
			return id
		}
	}
	t.Fatalf("no gateway has its home at %s", hub)
	return ""
}

// When all hubs are down a gateway waits for its home; so it does with
// WaitForOwner as soon as that is down.
func TestStatusOfAGatewayThatWaits(t *testing.T) {
	for _, policy := range []FailoverPolicy{NextHub, WaitForOwner} {
		virtual(t, func(t *testing.T) {
			f := newFleet(2)
			h := start(t, f, func(c *Config) { c.Failover = policy })
			f["hub-0"].kill()
			if policy == NextHub {
				f["hub-1"].kill()
			}
			gateway := homeOf(t, h.e, "hub-0")
			h.submit(1, gateway)
			h.submit(2, homeOf(t, h.e, "hub-1"))
			bubble.Pass(time.Second)
			s := asJSON(t, h.e, "gateway="+gateway)
			assert.Equal(t, "hub-0", s.Gateway.InUse)
			assert.Equal(t, 1, s.Gateway.QueuedSamples)
			page := asPage(t, h.e, "gateway="+gateway)
			assert.Contains(t, page, "Its samples wait for hub-0, which is down")
			assert.Contains(t, page, map[FailoverPolicy]string{
				NextHub:      "as are all. 1 sample queued.",
				WaitForOwner: "Failover is wait_for_owner, so no other hub gets them. 1 sample queued.",
			}[policy])
			for _, hub := range f {
				hub.revive()
			}
			require.NoError(t, h.stop())
		})
	}
}

// A hub that is back is catching up until it has taken what waited.
func TestStatusWhileCatchingUp(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		h := start(t, f)
		f["hub-0"].kill()
		h.submit(1, gateways(5)...)
		bubble.Pass(10 * time.Second)
		assert.Equal(t, "down", asJSON(t, h.e, "").Hubs[0].State)
		f["hub-0"].revive()
		f["hub-0"].say(reply{after: 8 * time.Second})
		bubble.Pass(7 * time.Second) // a probe comes within 5 s, and then a push that is slow

		s := asJSON(t, h.e, "gateway=gw-000")
		assert.Equal(t, "catching_up", s.Hubs[0].State)
		assert.Equal(t, 1, s.Hubs[0].Requests)
		assert.True(t, s.Gateway.UnderWay)
		assert.Zero(t, s.Hubs[0].DownSince)
		assert.NotEmpty(t, s.Hubs[0].LastError, "of before")
		page := asPage(t, h.e, "gateway=gw-000")
		assert.Contains(t, page, "exporter: 1 of 1 hub catching up")
		assert.Contains(t, page, "0 samples queued, others are under way.")

		bubble.Pass(8 * time.Second)
		assert.Equal(t, "up", asJSON(t, h.e, "").Hubs[0].State)
		assert.Contains(t, asPage(t, h.e, ""), "exporter: 1 hub up")
		require.NoError(t, h.stop())
	})
}

// A gateway of which its hub takes no more is held, and only that one.
func TestStatusOfAHeldGateway(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(1)
		f["hub-0"].say(reply{status: http.StatusTooManyRequests, header: http.Header{
			exposition.ReasonHeader: {"gateway_series"}, "Retry-After": {"20"},
		}})
		h := start(t, f)
		h.submit(1, "gw-a")
		bubble.Pass(time.Second)
		s := asJSON(t, h.e, "gateway=gw-a")
		assert.Equal(t, 1, s.Hubs[0].HeldGateways)
		assert.Equal(t, 19200*time.Millisecond, s.Gateway.HeldUntil.Sub(s.Time))
		page := asPage(t, h.e, "gateway=gw-a")
		assert.Contains(t, page, "The hub takes no more of this gateway now; next try in 19.2s.")
		assert.Contains(t, page, "1 gateway held")
		bubble.Pass(20 * time.Second)
		assert.Zero(t, asJSON(t, h.e, "gateway=gw-a").Gateway.HeldUntil)
		require.NoError(t, h.stop())
	})
}

// Run decides the state.
func TestStatusBeforeAndAfterRun(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(2)
		e, err := New(Config{Hubs: f.hubs(), Transport: f})
		require.NoError(t, err)
		assert.Equal(t, "new", asJSON(t, e, "").State)
		assert.Contains(t, asPage(t, e, ""), "Run was not called yet")
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- e.Run(ctx) }()
		synctest.Wait()
		assert.Equal(t, "running", asJSON(t, e, "").State)
		assert.Contains(t, asPage(t, e, ""), "exporter: 2 hubs up")
		cancel()
		require.NoError(t, <-ended)
		assert.Equal(t, "closed", asJSON(t, e, "").State)
		assert.Contains(t, asPage(t, e, ""), "exporter: closed")
	})
}

// Whatever the config, there is an answer.
func TestStatusOfConfigs(t *testing.T) {
	e, err := New(Config{
		Hubs: []Hub{{URL: "http://hub-0", Weight: 2.5}}, Failover: WaitForOwner, Overflow: DropOldest, CatchUp: math.Inf(1), SpoolDir: "spool here",
	})
	require.NoError(t, err)
	s := asJSON(t, e, "")
	assert.Equal(t, "wait_for_owner", s.Config.Failover)
	assert.Equal(t, "drop_oldest", s.Config.Overflow)
	assert.Zero(t, s.Config.CatchUp)
	assert.InDelta(t, 2.5, s.Hubs[0].Weight, 0)
	page := asPage(t, e, "")
	assert.Contains(t, page, "0 samples in spool here")
	assert.Contains(t, page, "Failover wait for owner")
}

// Of a ring of many hubs a walk is shown as far as anybody reads.
func TestStatusOfALongWalk(t *testing.T) {
	f := newFleet(40)
	e, err := New(Config{Hubs: f.hubs()})
	require.NoError(t, err)
	s := asJSON(t, e, "gateway=gw")
	assert.Len(t, s.Gateway.Walk, 12)
	assert.Equal(t, s.Gateway.Owner, s.Gateway.Walk[0].Hub)
	assert.Contains(t, asPage(t, e, "gateway=gw"), "And 28 more.")
	assert.Contains(t, asPage(t, e, "gateway="), "What is of no gateway")
	assert.True(t, slices.IsSortedFunc(s.Hubs, func(a, b status.Hub) int { return strings.Compare(a.Name, b.Name) }))
}

// Looking does not disturb, and every look sees sums that add up.
func TestStatusWhileBusy(t *testing.T) {
	virtual(t, func(t *testing.T) {
		f := newFleet(3)
		h := start(t, f, func(c *Config) { c.BatchWait = time.Millisecond })
		f["hub-1"].say(dead, reply{status: 500, after: time.Millisecond}, dead)
		var busy sync.WaitGroup
		for worker := range 4 {
			busy.Go(func() {
				for value := range 50 {
					assert.NoError(t, h.e.Submit(context.Background(), reports(value, gateways(20)...)))
					time.Sleep(time.Duration(worker+1) * time.Millisecond)
				}
			})
			busy.Go(func() {
				for range 50 {
					s := asJSON(t, h.e, "gateway=gw-000")
					assert.Equal(t, s.Totals.Submitted, s.Totals.Delivered+uint64(s.Queue.Samples))
					assert.Equal(t, http.StatusOK, ask(t, h.e, http.MethodGet, "/?gateway=gw-001").StatusCode)
					time.Sleep(time.Duration(worker+1) * time.Millisecond)
				}
			})
		}
		busy.Wait()
		require.NoError(t, h.stop())
		assert.Equal(t, uint64(4000), asJSON(t, h.e, "").Totals.Delivered)
	})
}
