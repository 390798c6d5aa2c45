package web

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/hubring/hubring/edgehub/internal/handover"
	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type unobserved struct{}

func (unobserved) Observe(float64) {}

// doors are a server without a network. Responses are taken as soon as they are written.
type doors struct {
	*Server
	t       testing.TB
	handler http.Handler
}

func newDoors(t testing.TB) *doors {
	t.Helper()
	room := body.NewRoom(1 << 28)
	st := store.New(store.Config{
		Series:  series.Limits{Series: 1 << 20, GatewaySeries: 1 << 20, TableBytes: 1 << 30},
		Samples: 1 << 22, IdleSeries: time.Hour, Scrapers: []string{""},
	})
	desk := handover.NewDesk(handover.Config{MaxSenders: 10, Spare: 10})
	s := New(Config{
		Store: st, Room: room, Desk: desk, Cursors: []string{""},
		Intake:     intake.New(intake.Config{Limits: exposition.DefaultLimits, GatewayLabel: "gatewayID", MaxSamples: 1 << 22}, st, room),
		MaxSamples: 1 << 22, MaxSeries: 1 << 20, MaxConnections: 10, MaxBodyBytes: 1 << 26, BodyTimeout: time.Minute,
		MaxPushes: 1, MaxScrapeSamples: 1 << 20, MaxAge: time.Hour, MaxAhead: time.Hour, GatewayLabel: "gatewayID",
		Own: http.NotFoundHandler(), PushSeconds: unobserved{}, ReadSeconds: unobserved{}, Logger: slog.New(slog.DiscardHandler),
	})
	t.Cleanup(s.Close)
	return &doors{s, t, s.Handler(BothDoors)}
}

// do sends a request of a kind of client.
func (d *doors) do(method, path, body, userAgent string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("User-Agent", userAgent)
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// busy asserts that a request finds no place.
func (d *doors) busy(w *httptest.ResponseRecorder, text string) {
	d.t.Helper()
	assert.Equal(d.t, http.StatusServiceUnavailable, w.Code)
	assert.Equal(d.t, "5", w.Header().Get("Retry-After"))
	assert.Equal(d.t, text+"\n", w.Body.String())
}

func (w *Words) of(word string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[word]
}

func TestPushesAreLimited(t *testing.T) {
	d := newDoors(t)
	d.pushes <- struct{}{} // a push that is under way
	d.busy(d.do("POST", "/metrics", "x 1\n", ""), "1 pushes are under way, which is the limit")
	assert.EqualValues(t, 1, d.Counts.RejectedPushes.of("too_many_pushes"))
	assert.EqualValues(t, 1, d.Counts.RejectedSamples.of("too_many_pushes"))
	assert.Zero(t, d.Counts.Received.Load())
	<-d.pushes
	assert.Equal(t, http.StatusOK, d.do("POST", "/metrics", "x 1\n", "").Code)
}

// However many look and don't read what they get, a scraper gets through.
func TestLooksAreLimitedApart(t *testing.T) {
	d := newDoors(t)
	for range maxLooks {
		d.looks <- struct{}{}
	}
	for _, path := range []string{"/metrics", "/debug?verbose", "/gateways"} {
		d.busy(d.do("GET", path, "", ""), "4 looks are under way, which is the limit")
	}
	assert.EqualValues(t, 3, d.Counts.RefusedReads.of("too_many_looks"))
	assert.Equal(t, http.StatusOK, d.do("GET", "/metrics?drain=1", "", "").Code)
	<-d.looks
	for range 2 { // each that ends makes room
		assert.Equal(t, http.StatusOK, d.do("GET", "/gateways", "", "").Code)
	}
}

// Strangers that hold all the places there are for them do not keep out whoever has taken
// a response before, and one client does not hold all of them.
func TestStrangersKeepNoScraperOut(t *testing.T) {
	d := newDoors(t)
	const scraper, stranger = "Prometheus/3.15.0", "stranger"
	scrape := func(userAgent string) *httptest.ResponseRecorder {
		return d.do("GET", "/metrics?drain=1", "", userAgent)
	}
	require.Equal(t, http.StatusOK, scrape(scraper).Code) // and is taken
	l := d.lines.line(request{parts: 1})
	var leaves []func()
	enter := func(client string) bool {
		leave, ok := l.enter(client)
		if ok {
			leaves = append(leaves, leave)
		}
		return ok
	}
	for i := range maxScrapes {
		require.True(t, enter(fmt.Sprint(stranger, i)))
	}
	assert.False(t, enter("one more"))
	d.busy(scrape(stranger), "too many scrapes are under way")
	assert.EqualValues(t, 1, d.Counts.RefusedReads.of("too_many_scrapes"))
	assert.Equal(t, http.StatusOK, scrape(scraper).Code)

	known := clientOf(httptest.NewRequest(http.MethodGet, "/", nil)) + scraper
	require.Equal(t, known, l.known)
	for range maxScrapesOfOne { // one that hangs, too
		require.True(t, enter(known))
	}
	d.busy(scrape(scraper), "too many scrapes are under way")
	for _, leave := range leaves {
		leave()
	}
	assert.Equal(t, http.StatusOK, scrape(scraper).Code)
	assert.Equal(t, http.StatusOK, scrape(stranger).Code)
	assert.Empty(t, l.underWay)
	assert.Empty(t, d.lines.strangers)
}

func TestScrapesOfOneClientAreLimited(t *testing.T) {
	l := newDoors(t).lines.line(request{parts: 1})
	for range maxScrapesOfOne {
		_, ok := l.enter("a")
		require.True(t, ok)
	}
	_, ok := l.enter("a")
	assert.False(t, ok)
	leave, ok := l.enter("b")
	require.True(t, ok)
	leave()
}

func TestEntrance(t *testing.T) {
	var e entrance
	require.True(t, e.enter())
	require.True(t, e.enter())
	empty := e.close()
	assert.False(t, e.enter())
	assert.Equal(t, 2, e.count())
	e.leave()
	select {
	case <-empty:
		t.Fatal("somebody is in")
	default:
	}
	e.leave()
	<-empty
	<-e.close() // closing it twice changes nothing
	assert.True(t, e.closed())
}

// The whole list, and the longest that a push may have to wait for a lock of it.
//
//	go test ./edgehub/internal/web -run '^$' -bench BenchmarkGateways
func BenchmarkGateways(b *testing.B) {
	const gateways, step = 100_000, 512
	d := newDoors(b)
	var text bytes.Buffer
	for i := range gateways {
		fmt.Fprintf(&text, "x{gatewayID=\"gw%06d\"} 1\n", i)
	}
	_, refused := d.Push(door.Text, text.Bytes())
	require.Nil(b, refused)
	b.Run(fmt.Sprintf("list=%d", gateways), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := writeGateways(io.Discard, d.store.Gateways(), "gatewayID", 0); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run(fmt.Sprintf("locked=%d", step), func(b *testing.B) {
		t := d.store.Table()
		all := make([]series.Gateway, 0, step)
		for i := 0; b.Loop(); i++ {
			from := i * step % (gateways - step)
			all, _ = t.Gateways(all[:0], from, from+step)
		}
	})
}
