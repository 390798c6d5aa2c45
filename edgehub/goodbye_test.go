package edgehub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/internal/exposition"
)

// Another hub gets all that no scraper has, sample by sample and to the bit, with types and help, and nothing else; then
// nothing is left to wait for.
func TestHandover(t *testing.T) {
	pairs := []string{"a", "b"}
	for name, c := range map[string]struct {
		cfg     Config
		between func(t *testing.T, h *Hub)
		had     int // of 840 samples, that some scraper had got
	}{
		"nobody came":           {Config{}, nil, 0},
		"on a disk":             {Config{StoragePath: "here"}, nil, 0},
		"half is scraped":       {Config{}, func(t *testing.T, h *Hub) { scrapeOf(t, h, "") }, 420},
		"one of two":            {Config{Cursors: pairs}, func(t *testing.T, h *Hub) { scrapeOf(t, h, "cursor=b") }, 420},
		"two of which none":     {Config{Cursors: pairs}, nil, 0},
		"packed":                {Config{MaxSamples: 1200}, packAll, 0},
		"packed, half is gone":  {Config{MaxSamples: 1200}, func(t *testing.T, h *Hub) { packAll(t, h); scrapeOf(t, h, "") }, 420},
		"a response under way":  {Config{}, func(_ *testing.T, h *Hub) { offerAll(h) }, 0},
		"packed, on its way":    {Config{MaxSamples: 1200}, func(t *testing.T, h *Hub) { packAll(t, h); offerAll(h) }, 0},
		"small responses there": {Config{MaxScrapeSamples: 100}, func(t *testing.T, h *Hub) { scrapeOf(t, h, "") }, 98},
	} {
		t.Run(name, func(t *testing.T) {
			if c.cfg.StoragePath != "" {
				c.cfg.StoragePath = t.TempDir()
			}
			h, other, way := pairOf(t, c.cfg, Config{})
			require.Eventually(t, func() bool { return h.store.Refuses() == nil }, 10*time.Second, time.Millisecond)
			bodies := reports(rand.New(rand.NewPCG(1, 2)), 6, 20, base)
			pushAll(t, h, bodies[:60])
			if c.between != nil {
				c.between(t, h)
			}
			pushAll(t, h, bodies[60:])
			var want map[sample]int
			if all := held(h); c.had == 0 || len(c.cfg.Cursors) < 2 {
				want = all
			} else {
				want = maps.Clone(all)
				maps.DeleteFunc(want, func(s sample, _ int) bool { return s.time < base+10_000 })
			}
			require.Len(t, want, 840-c.had)

			done, err := h.Handover(t.Context(), "http://far", nil)
			require.NoError(t, err)
			assert.Equal(t, Handover{To: "far", Taken: len(want)}, done)
			assert.Equal(t, want, held(other))
			assert.EqualValues(t, len(want), other.Stats().Received)
			assert.NoError(t, h.Drain(ended()))
			account(t, h)
			_, err = h.Push(t.Context(), Text, []byte("x 1\n"))
			refused := (*RefusedError)(nil)
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, "stopping", refused.Reason)
			assert.LessOrEqual(t, way.posts, 2)

			w := httptest.NewRecorder()
			other.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
			for _, line := range []string{"# HELP h How \\\\ \\n long.\n# TYPE h histogram\n", "# TYPE t counter\n"} {
				assert.Contains(t, w.Body.String(), line)
			}
		})
	}
}

// packAll has what waits be packed, as if it did so for an hour.
func packAll(t *testing.T, h *Hub) {
	t.Helper()
	h.store.Log.Seal(time.Now().Add(time.Hour))
	packed, _ := h.store.Log.Sealed()
	require.NotZero(t, packed)
}

// offerAll has a response be under way that never arrives.
func offerAll(h *Hub) {
	c, _ := h.store.Log.Cursor(0, 0, 1)
	h.store.Log.Offer(c, h.store.Log.At(c), h.store.Log.End(), samples.Tally{Passed: int(h.store.Log.End() - h.store.Log.At(c))})
}

// A part that was scraped is not handed over, and each cursor's account is of its own series.
func TestHandoverOfParts(t *testing.T) {
	h, other, _ := pairOf(t, Config{}, Config{})
	pushAll(t, h, reports(rand.New(rand.NewPCG(1, 2)), 6, 20, base))
	before := held(h)
	scrapeOf(t, h, "part=1&parts=3")
	scrapeOf(t, h, "part=3&parts=3")
	had := h.Stats().Scraped
	require.NotZero(t, had)
	done, err := h.Handover(t.Context(), "http://far", nil)
	require.NoError(t, err)
	assert.Equal(t, len(before)-int(had), done.Taken)
	got := held(other)
	assert.Len(t, got, done.Taken)
	for s, n := range got {
		assert.Equal(t, before[s], n)
	}
	assert.EqualValues(t, len(before), had+h.Stats().HandedOver)
	assert.NoError(t, h.Drain(ended()))
}

// What a gateway did at the hub that goes away it has done at the other one: it ended, came again, or goes on.
func TestHandoverOfEnds(t *testing.T) {
	for name, pack := range map[string]func(*testing.T, *Hub){
		"as it came": func(*testing.T, *Hub) {},
		"packed":     packAll,
	} {
		t.Run(name, func(t *testing.T) { handOverEnds(t, pack) })
	}
}

func handOverEnds(t *testing.T, pack func(*testing.T, *Hub)) {
	t.Helper()
	other := newWholeHub(t, Config{Name: "far"})
	h := newWholeHub(t, Config{Name: "near", MaxSamples: 40, HandoverClient: &http.Client{Transport: &far{handler: other.Handler()}}})
	s, there := &ending{serveHub(t, h)}, &ending{serveHub(t, other)}
	there.push(at(`x{gatewayID="there"}`, 9, 5000))
	there.took()
	for _, g := range []string{"there", "elsewhere", "back", "on"} {
		s.push(at(`x{gatewayID="`+g+`"}`, 1, 1000) + at(`y{gatewayID="`+g+`"}`, 2, 1500))
	}
	s.end("there", 5000, "elsewhere", 3000, "back", 3000)
	s.push(at(`x{gatewayID="back"}`, 3, 4000))
	pack(t, h)
	done, err := h.Handover(t.Context(), "http://far", nil)
	require.NoError(t, err)
	assert.Equal(t, Handover{To: "far", Taken: 9, Ended: 3}, done)
	assert.Equal(t, []string{
		`first{gatewayID="back"} 1000 @1000`, `first{gatewayID="back"} 4000 @4000`, `first{gatewayID="back"} end @2999`,
		`first{gatewayID="elsewhere"} 1000 @1000`, `first{gatewayID="elsewhere"} end @2999`, `first{gatewayID="on"} 1000 @1000`, `first{gatewayID="there"} 1000 @1000`,
		`x{gatewayID="back"} 1 @1000`, `x{gatewayID="back"} 3 @4000`, `x{gatewayID="back"} end @2999`,
		`x{gatewayID="elsewhere"} 1 @1000`, `x{gatewayID="elsewhere"} end @2999`, `x{gatewayID="on"} 1 @1000`, `x{gatewayID="there"} 1 @1000`,
		`y{gatewayID="back"} 2 @1500`, `y{gatewayID="back"} end @2999`,
		`y{gatewayID="elsewhere"} 2 @1500`, `y{gatewayID="elsewhere"} end @2999`, `y{gatewayID="on"} 2 @1500`, `y{gatewayID="there"} 2 @1500`, `y{gatewayID="there"} end @4999`,
	}, there.log())
	account(t, h)
}

// inTime runs a handover in virtual time to a hub whose answers a test may give, and returns how long it took.
func inTime(t *testing.T, staying Config, test func(t *testing.T, h, other *Hub, way *far)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, other, way := pairOf(t, Config{}, staying)
		test(t, h, other, way)
	})
}

func threeGateways(times int) (bodies []string) {
	now := time.Now().UnixMilli()
	for i := range times {
		for _, g := range []string{"a", "b", "c"} {
			bodies = append(bodies, fmt.Sprintf("x{gatewayID=%q} %d %d\n", g, i, now-60_000+int64(i)))
		}
	}
	return bodies
}

// A hub that is full, starts or is not there for a while is waited for, as long as it says, and that is told.
func TestHandoverWaits(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		reason string
		wait   time.Duration
	}{
		"starts":    {503, "replaying", 21 * time.Second},
		"full":      {429, "hub_full", 21 * time.Second},
		"its fault": {500, "", (250 + 500 + 1000) * time.Millisecond},
		"no answer": {-1, "", (250 + 500 + 1000) * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, Config{}, func(t *testing.T, h, other *Hub, way *far) {
				pushAll(t, h, threeGateways(10))
				want, began, waited := held(h), time.Now(), 0
				way.before = func(string, string) (int, string) {
					if way.posts <= 3 {
						return c.status, c.reason
					}
					return 0, ""
				}
				done, err := h.Handover(t.Context(), "http://far", func(p Handover) {
					assert.NotEmpty(t, p.Waiting)
					assert.Equal(t, 30, p.Left)
					waited++
				})
				require.NoError(t, err)
				assert.Equal(t, Handover{To: "far", Taken: 30}, done)
				assert.Equal(t, c.wait, time.Since(began))
				assert.Equal(t, int(c.wait/(2*time.Second)), waited)
				assert.Equal(t, want, held(other))
			})
		})
	}
}

// A hub that goes away itself is not waited for: two would wait for each other.
func TestHandoverToAHubThatStops(t *testing.T) {
	inTime(t, Config{}, func(t *testing.T, h, _ *Hub, way *far) {
		pushAll(t, h, threeGateways(10))
		began := time.Now()
		way.before = func(string, string) (int, string) { return 503, "stopping" }
		done, err := h.Handover(t.Context(), "http://far", nil)
		refused := (*RefusedError)(nil)
		require.ErrorAs(t, err, &refused)
		assert.Equal(t, []any{502, "stopping"}, []any{refused.Status, refused.Reason})
		assert.Equal(t, Handover{To: "far", Left: 30}, done)
		assert.Zero(t, time.Since(began))
		pushAll(t, h, threeGateways(1))
	})
}

// Of a gateway that the other hub refuses the samples stay, in their order; all others are handed over, and the hub goes on as before.
func TestHandoverOfARefusedGateway(t *testing.T) {
	for status, reason := range map[int]string{400: "malformed", 422: "some", 413: "too_many_samples"} {
		t.Run(reason, func(t *testing.T) {
			inTime(t, Config{}, func(t *testing.T, h, other *Hub, way *far) {
				pushAll(t, h, threeGateways(10))
				way.before = func(_, body string) (int, string) {
					if strings.Contains(body, `"b"`) {
						return status, reason
					}
					return 0, ""
				}
				done, err := h.Handover(t.Context(), "http://far", nil)
				refused := (*RefusedError)(nil)
				require.ErrorAs(t, err, &refused)
				assert.Equal(t, []any{502, "refused"}, []any{refused.Status, refused.Reason})
				assert.Equal(t, Handover{To: "far", Taken: 20, Refused: 10, Left: 10}, done)
				assert.Len(t, held(other), 20)
				left := held(h)
				assert.Len(t, left, 10)
				for s := range left {
					assert.Contains(t, s.series, `"b"`)
				}
				account(t, h)
				pushAll(t, h, threeGateways(1))

				way.before = nil
				done, err = h.Handover(t.Context(), "http://far", nil)
				require.NoError(t, err)
				assert.Equal(t, Handover{To: "far", Taken: 13}, done)
				assert.NoError(t, h.Drain(ended()))
				account(t, h)
			})
		})
	}
}

// What is too large is halved until it is not.
func TestHandoverToASmallHub(t *testing.T) {
	inTime(t, Config{MaxBodyBytes: 200}, func(t *testing.T, h, other *Hub, way *far) {
		pushAll(t, h, threeGateways(10))
		want := held(h)
		_, err := h.Handover(t.Context(), "http://far", nil)
		require.NoError(t, err)
		assert.Equal(t, want, held(other))
		assert.Greater(t, way.posts, 5)
	})
}

// One gateway of which the other hub has too much waits alone, until it has not.
func TestHandoverOfACrowdedGateway(t *testing.T) {
	inTime(t, Config{}, func(t *testing.T, h, other *Hub, way *far) {
		pushAll(t, h, threeGateways(10))
		want, began := held(h), time.Now()
		way.before = func(_, body string) (int, string) {
			if strings.Contains(body, `"b"`) && time.Since(began) < 10*time.Second {
				return 429, "gateway_share"
			}
			return 0, ""
		}
		_, err := h.Handover(t.Context(), "http://far", func(p Handover) {
			if time.Since(began) < 14*time.Second {
				assert.Equal(t, 20, p.Taken)
				assert.Contains(t, p.Waiting, "1 gateways")
			}
		})
		require.NoError(t, err)
		assert.Equal(t, 14*time.Second, time.Since(began))
		assert.Equal(t, want, held(other))
		account(t, h)
	})
}

// Whoever takes nothing, whatever it is sent, ends it, and the hub goes on as before.
func TestHandoverThatNobodyTakes(t *testing.T) {
	for _, status := range []int{301, 401, 403, 404, 415} {
		inTime(t, Config{}, func(t *testing.T, h, _ *Hub, way *far) {
			bodies := threeGateways(10)
			pushAll(t, h, bodies)
			before := held(h)
			way.before = func(string, string) (int, string) { return status, "" }
			done, err := h.Handover(t.Context(), "http://far", nil)
			refused := (*RefusedError)(nil)
			require.ErrorAs(t, err, &refused)
			assert.Equal(t, []any{502, "not_taken"}, []any{refused.Status, refused.Reason}, status)
			assert.ErrorContains(t, err, fmt.Sprintf("status %d: in the test's words", status))
			assert.Equal(t, Handover{To: "far", Left: 30}, done)
			assert.Equal(t, before, held(h))
			pushAll(t, h, bodies[:1])
		})
	}
}

// Another hub that dies in between, and a caller that gives up and calls again: nothing is lost, and what was acknowledged comes once.
func TestHandoverInterrupted(t *testing.T) {
	for seed := range uint64(30) {
		inTime(t, Config{MaxBodyBytes: 400}, func(t *testing.T, h, other *Hub, way *far) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			pushAll(t, h, threeGateways(40))
			want, twice := held(h), map[sample]bool{}
			way.before = func(_, body string) (int, string) {
				switch rnd.IntN(8) {
				case 0:
					return -1, ""
				case 1: // it took it, and could not say so
					for line := range strings.Lines(body) {
						if text, rest, ok := strings.Cut(line, "} "); ok {
							var s sample
							var value float64
							_, err := fmt.Sscanf(rest, "%g %d", &value, &s.time)
							assert.NoError(t, err)
							s.series, s.bits = text+"}", math.Float64bits(value)
							twice[s] = true
						}
					}
					return -2, ""
				case 2:
					return 503, "storage_failed"
				}
				return 0, ""
			}
			for err := errors.New("not begun"); err != nil; {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rnd.IntN(3000))*time.Millisecond)
				_, err = h.Handover(ctx, "http://far", nil)
				cancel()
				if err != nil {
					require.ErrorIs(t, err, context.DeadlineExceeded)
					account(t, h)
				}
			}
			got := held(other)
			for s := range want {
				assert.NotZero(t, got[s], "%v", s)
			}
			assert.Len(t, got, len(want))
			assert.GreaterOrEqual(t, int(other.Stats().Received), len(want))
			assert.LessOrEqual(t, int(other.Stats().Received), len(want)+len(twice)*3)
			assert.NoError(t, h.Drain(ended()))
			account(t, h)
		})
	}
}

// A scraper that comes meanwhile takes what it gets, and nothing is lost between the two.
func TestHandoverWhileAScraperComes(t *testing.T) {
	h, other, way := pairOf(t, Config{Cursors: []string{"a", "b"}, MaxScrapeSamples: 50}, Config{MaxBodyBytes: 1000})
	pushAll(t, h, reports(rand.New(rand.NewPCG(1, 2)), 6, 20, base))
	way.before = func(string, string) (int, string) {
		scrapeOf(t, h, "cursor="+[]string{"a", "b"}[way.posts%2])
		return 0, ""
	}
	_, err := h.Handover(t.Context(), "http://far", nil)
	require.NoError(t, err)
	assert.NotZero(t, h.Stats().Scraped)
	assert.Len(t, held(other), 840, "it was all asked for before")
	assert.NoError(t, h.Drain(ended()))
	account(t, h)
}

// A gateway that the other hub refuses is on disk with what waits, and nothing else is.
func TestHandoverOnDisk(t *testing.T) {
	dir := t.TempDir()
	other := newHub(t, Config{Name: "far"})
	way := &far{handler: other.Handler(), before: func(_, body string) (int, string) {
		if strings.Contains(body, `"b"`) {
			return 400, "malformed"
		}
		return 0, ""
	}}
	h := storing(t, dir, Config{Name: "near", HandoverClient: &http.Client{Transport: way}})
	pushAll(t, h, threeGateways(10))
	_, err := h.Handover(t.Context(), "http://far", nil)
	require.Error(t, err)
	before := waitingIn(h)
	require.Len(t, before, 11, "with its first sample")
	h.Close(t.Context())
	again := storing(t, dir, Config{})
	assert.Equal(t, before, waitingIn(again))
}

// A million samples go out in requests of about a MiB, and take no memory beyond that of a chunk.
func TestHandoverOfAMillionSamples(t *testing.T) {
	h, other, way := pairOf(t, Config{}, Config{MaxSamples: 2_000_000})
	const gateways, series, times = 250, 40, 100
	for i := range times {
		ingestAt(t, h, fleet(gateways, series, base+int64(i)))
	}
	require.Equal(t, gateways*series*times, h.Stats().Pending)
	packAll(t, h)
	heap := func() int {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	taken, most := &http.ServeMux{}, 0
	taken.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(exposition.HubHeader, "edgehub/1 far") })
	way.handler = taken
	before := heap()
	way.before = func(string, string) (int, string) {
		if way.posts%20 == 0 {
			most = max(most, heap()-before)
		}
		return 0, ""
	}
	done, err := h.Handover(t.Context(), "http://far", nil)
	require.NoError(t, err)
	assert.Equal(t, gateways*series*times, done.Taken)
	assert.Less(t, way.most, 1<<20+100_000)
	assert.Greater(t, way.posts, 30)
	assert.Less(t, most, 24<<20, "where all of it as text is %d", len(fleet(gateways, series, base))*times)
	assert.Zero(t, other.Stats().Received)
}

// Who asks for it over HTTP learns by the status what became of it, and why; /-/ready says how far it is, and a client that goes stops it.
func TestHandoverRequests(t *testing.T) {
	other := serve(t, Config{Name: "far"})
	off := serve(t, Config{Name: "near"})
	refused := func(s *server, query, reason string, status int) {
		t.Helper()
		answer, text := s.do("POST", "/-/handover"+query, "")
		assert.Equal(t, status, answer.StatusCode, text)
		assert.Equal(t, reason, answer.Header.Get(exposition.ReasonHeader), text)
		s.says(fmt.Sprintf("edgehub_handovers_total{result=%q} 1", reason))
	}
	refused(off, "?to="+other.url, "disabled", 403)

	stranger := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(stranger.Close)
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	s := serve(t, Config{Name: "near", EnableLifecycle: true, HandoverClient: client})
	s.push(at("x", 1, 0))
	for _, to := range []string{"", "?to=far:9091", "?to=file:///x", "?to=http://", "?to=http://far/%3Fx"} {
		answer, _ := s.do("POST", "/-/handover"+to, "")
		assert.Equal(t, 400, answer.StatusCode, to)
		assert.Equal(t, "bad_target", answer.Header.Get(exposition.ReasonHeader))
	}
	refused(s, "?to="+s.url, "itself", 422)
	refused(s, "?to="+stranger.URL, "no_hub", 502)
	assert.Equal(t, "edgehub is ready.\n", s.get("/-/ready"))

	gate, asked := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			user, password, _ := r.BasicAuth()
			assert.Equal(t, "us er:p@ss", user+":"+password)
			_ = unpacked(r) // or the end of the connection is not noticed
			asked <- struct{}{}
			select {
			case <-gate:
			case <-r.Context().Done():
				return
			}
		}
		other.Handler().ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	to := "?to=" + url.QueryEscape(strings.Replace(slow.URL, "://", "://us%20er:p%40ss@", 1)+"/")
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/-/handover"+to, http.NoBody)
		if assert.NoError(t, err) {
			_, err = client.Do(r)
			assert.ErrorIs(t, err, context.Canceled)
		}
	}()
	<-asked
	refused(s, to, "under_way", 409)
	_, text := s.do("GET", "/-/ready", "")
	assert.Equal(t, "edgehub is stopping and hands over what it has: 0 samples taken by the hub \"far\", 0 gateways ended there, 1 samples left here.\n", text)
	answer, _ := s.do("POST", "/metrics", at("x", 1, 1))
	assert.Equal(t, "stopping", answer.Header.Get(exposition.ReasonHeader))
	cancel()
	<-gone
	require.Eventually(t, func() bool { return s.web.Counts.Handovers.Sum() == 9 }, 10*time.Second, time.Millisecond)
	s.says(`edgehub_handovers_total{result="interrupted"} 1`)
	s.push(at("x", 1, 1))

	close(gate)
	answered := make(chan string)
	go func() {
		_, text := s.another().do("POST", "/-/handover"+to, "")
		answered <- text
	}()
	<-asked
	assert.Equal(t, "2 samples taken by the hub \"far\", 0 gateways ended there, 0 samples left here\n", <-answered)
	s.says(`edgehub_handovers_total{result="done"} 1`, `edgehub_samples_handed_over_total{cursor=""} 2`)
	assert.Len(t, held(other.Hub), 2)
	_, text = s.do("GET", "/-/ready", "")
	assert.Equal(t, "edgehub is stopping.\n", text)
	require.NoError(t, s.Drain(ended()))
}
