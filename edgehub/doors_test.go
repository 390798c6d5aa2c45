package edgehub

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/logtest"
)

// behindDoor serves a hub by one server more, and returns a client of it.
func (s *server) behindDoor(door *http.Server) *server {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(s.t, err)
	other := s.another()
	other.http, other.url = door, "http://"+listener.Addr().String()
	served := make(chan error, 1)
	go func() { served <- door.Serve(s.Listener(listener)) }()
	s.t.Cleanup(func() {
		other.client.CloseIdleConnections()
		door.Close()
		assert.ErrorIs(s.t, <-served, http.ErrServerClosed)
	})
	return other
}

// Whoever reaches the one door only gets nothing of the other.
func TestTwoDoors(t *testing.T) {
	s := serve(t, Config{})
	pushes, scrapes := s.behindDoor(s.PushServer()), s.behindDoor(s.ScrapeServer())
	pushes.push(at("x", 1, 0))
	for _, path := range []string{"/metrics", "/metrics?drain=1", "/gateways", "/debug", "/debug?verbose", "/internal", "/"} {
		answer, text := pushes.do("GET", path, "", scrapeTimeout, "10")
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, path)
		assert.Contains(t, text, "this port takes pushes and nothing else", path)
		assert.Contains(t, text, "--scrape.listen-address", path)
	}
	answer, _ := pushes.do("HEAD", "/metrics", "")
	assert.NotEqual(t, http.StatusOK, answer.StatusCode)
	answer, text := scrapes.do("POST", "/metrics", at("x", 2, 1))
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
	assert.Contains(t, text, "pushes go to the port of --web.listen-address")
	assert.Equal(t, Stats{Received: 1, Pending: 1, Behind: 1, Series: 1}, s.Stats())

	for _, path := range []string{"/gateways", "/debug", "/internal", "/", "/metrics"} {
		assert.NotEmpty(t, scrapes.get(path), path)
	}
	for _, door := range []*server{pushes, scrapes, s} {
		assert.Equal(t, "edgehub is healthy.\n", door.get("/-/healthy"))
		assert.Equal(t, "edgehub is ready.\n", door.get("/-/ready"))
		answer, _ := door.do("HEAD", "/-/ready", "")
		assert.Equal(t, http.StatusOK, answer.StatusCode)
	}
	assert.Equal(t, at("x", 1, 0), scrapes.scrape())
	assert.Empty(t, scrapes.scrape())
	assert.Zero(t, s.Stats().Behind)

	s.Retire()
	for _, door := range []*server{pushes, scrapes} {
		answer, _ := door.do("GET", "/-/ready", "")
		assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	}
}

// Each answer says who gives it, so that an exporter takes no other program's for a hub's.
func TestEachAnswerSaysWhoGivesIt(t *testing.T) {
	s := serve(t, Config{Name: "edgehub-0.edgehub:9091", Version: "1.2.3", MaxBodyBytes: 1000})
	pushes, scrapes := s.behindDoor(s.PushServer()), s.behindDoor(s.ScrapeServer())
	check := func(door *server, status int, method, path, body string, headers ...string) {
		t.Helper()
		answer, text := door.do(method, path, body, headers...)
		assert.Equal(t, status, answer.StatusCode, text)
		assert.Equal(t, []string{"edgehub/1.2.3 edgehub-0.edgehub:9091"}, answer.Header.Values("Hubring-Hub"), "%s %s", method, path)
	}
	for _, door := range []*server{s, pushes} {
		check(door, 200, "POST", "/metrics", at("x", 1, 0))
		check(door, 200, "POST", "/metrics", "")
		check(door, 400, "POST", "/metrics", "not a line\n")
		check(door, 413, "POST", "/metrics", strings.Repeat(" ", 1001))
		check(door, 415, "POST", "/metrics", "", "Content-Type", "application/x-protobuf")
		check(door, 200, "POST", "/gateways/ended", "")
		check(door, 400, "POST", "/gateways/ended", "no time\n")
	}
	for _, door := range []*server{s, scrapes} {
		for _, path := range []string{"/", "/metrics", "/gateways", "/debug", "/internal"} {
			check(door, 200, "GET", path, "")
		}
		check(door, 200, "GET", "/metrics", "", scrapeTimeout, "10")
		check(door, 400, "GET", "/metrics?part=7", "")
		check(door, 200, "HEAD", "/metrics", "")
	}
	check(pushes, 404, "GET", "/metrics", "")
	check(scrapes, 404, "POST", "/metrics", "")
	for _, door := range []*server{s, pushes, scrapes} {
		check(door, 404, "GET", "/no/such/page", "")
		check(door, 405, "DELETE", "/metrics", "")
		check(door, 200, "GET", "/-/healthy", "")
		check(door, 200, "GET", "/-/ready", "")
	}
	s.Retire()
	check(pushes, 503, "GET", "/-/ready", "")
}

// A hub whose name cannot be said does not begin.
func TestNameOfAHub(t *testing.T) {
	for _, name := range []string{"h\u00fcb", "hub ", "hub\n", strings.Repeat("n", 254)} {
		_, err := New(Config{Name: name})
		assert.ErrorContains(t, err, "it must be printable ASCII", "%q", name)
	}
	answer, _ := serve(t, Config{}).do("GET", "/-/ready", "")
	assert.Equal(t, "edgehub/unknown", answer.Header.Get("Hubring-Hub"))
}

// POST /metrics?drain=1 takes where scrapers do. At the door of pushes it is a push.
func TestDrainByPOST(t *testing.T) {
	s := serve(t, Config{})
	pushes, scrapes := s.behindDoor(s.PushServer()), s.behindDoor(s.ScrapeServer())
	post := func(door *server) string {
		t.Helper()
		answer, text := door.do("POST", "/metrics?drain=1", "")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		return text
	}
	s.push(at("x", 1, 0))
	assert.Empty(t, post(pushes))
	assert.Equal(t, 1, s.Stats().Pending)
	assert.Equal(t, at("x", 1, 0), post(scrapes))
	assert.Equal(t, 1, s.Stats().Unsure)
	assert.Empty(t, post(scrapes))
	assert.Equal(t, Stats{Received: 1, Scraped: 1, Series: 1}, s.Stats())

	s.push(at("x", 2, 1))
	assert.Equal(t, at("x", 2, 1), scrapes.get("/metrics?drain=1")) // a GET, too
	s.push(at("x", 3, 2))
	assert.Equal(t, at("x", 3, 2), post(scrapes))
	s.push(at("x", 4, 3))
	only := s.another() // at the one door there is; it is the same client, over another connection
	assert.Equal(t, at("x", 4, 3), post(only))
	assert.EqualValues(t, 3, s.Stats().Scraped)
}

// asked is one request to a hub without a network.
func asked(h *Hub, path, userAgent string, headers ...string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.Header.Set("User-Agent", userAgent)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	h.Handler().ServeHTTP(httptest.NewRecorder(), r)
}

// A client that looks at an interval while nobody takes is a scraper that does not say so,
// and the hub fills. It is named, once.
func TestClientThatOnlyLooks(t *testing.T) {
	const said = "a client looks again and again and takes nothing"
	f := func(want int, looks func(h *Hub)) *logtest.Buffer {
		t.Helper()
		j := &logtest.Buffer{}
		synctest.Test(t, func(t *testing.T) {
			h := newHub(t, Config{Logger: j.Logger()})
			looks(h)
		})
		assert.Equal(t, want, j.Count(said), j.String())
		return j
	}
	every := func(h *Hub, userAgent string, gaps ...time.Duration) {
		for _, gap := range gaps {
			asked(h, "/metrics", userAgent)
			time.Sleep(gap) // of the bubble
		}
		asked(h, "/metrics", userAgent)
	}
	const s = time.Second
	j := f(1, func(h *Hub) { every(h, "Telegraf/1.30", 10*s, 10*s, 11*s, 9*s, 10*s, 10*s, 10*s, 10*s, 10*s) })
	assert.Contains(t, j.String(), `client=192.0.2.1 user_agent=Telegraf/1.30 every=1`)
	assert.Contains(t, j.String(), "others take with ?drain=1")

	f(2, func(h *Hub) { // two kinds of clients
		every(h, "Telegraf/1.30", 10*s, 10*s, 10*s, 10*s, 10*s, 10*s)
		every(h, "curl/8", 60*s, 60*s, 60*s, 60*s, 60*s, 60*s)
	})
	f(0, func(h *Hub) { every(h, "Mozilla/5.0", 10*s, 60*s, 2*s, 300*s, 10*s, 10*s, 90*s, 1*s, 20*s) }) // somebody looks
	f(0, func(h *Hub) { every(h, "Mozilla/5.0", 10*s, 10*s) })
	f(0, func(h *Hub) { // a scraper has come
		asked(h, "/metrics", "Prometheus/3.15.0", scrapeTimeout, "10")
		every(h, "Telegraf/1.30", 10*s, 10*s, 10*s, 10*s, 10*s, 10*s, 10*s)
	})
	f(0, func(h *Hub) { // it takes
		for range 20 {
			asked(h, "/metrics?drain=1", "Telegraf/1.30")
			time.Sleep(10 * s)
		}
	})
	f(0, func(h *Hub) { // looks by many
		for i := range 1000 {
			asked(h, "/metrics", fmt.Sprint("agent/", i))
			time.Sleep(s)
		}
	})
}

// A method that a path does not know is no other one.
func TestMethods(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	for _, method := range []string{"PUT", "DELETE", "PATCH", "OPTIONS"} {
		answer, _ := s.do(method, "/metrics?drain=1", "", scrapeTimeout, "10")
		assert.GreaterOrEqual(t, answer.StatusCode, 200, method)
		assert.Equal(t, 1, s.Stats().Pending, method)
	}
	assert.Equal(t, 1, strings.Count(s.scrape(), "\n"))
}
