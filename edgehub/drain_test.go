package edgehub

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/logtest"
)

// drain begins a Drain that a test can wait for, and waits until no push is let in.
func (s *server) drain() <-chan error {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- s.Drain(ctx)
	}()
	require.Eventually(s.t, func() bool {
		answer, _ := s.do("GET", "/-/ready", "")
		return answer.StatusCode == http.StatusServiceUnavailable
	}, 10*time.Second, time.Millisecond)
	s.t.Cleanup(cancel)
	return done
}

// still says that a Drain goes on. It must not end by what the test did before.
func still(t *testing.T, done <-chan error) {
	t.Helper()
	select {
	case err := <-done:
		t.Fatal("the drain is over:", err)
	default:
	}
}

// From the call on pushes are refused, so that their senders go elsewhere at
// once; one scrape takes what there is, and that is all.
func TestDrainRefusesPushesAndWaitsForAScrape(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()

	answer, text := s.do("POST", "/metrics", at("x", 2, 1))
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "stopping", answer.Header.Get(exposition.ReasonHeader))
	assert.Equal(t, "5", answer.Header.Get("Retry-After"))
	assert.True(t, answer.Close)
	assert.Equal(t, "the hub is stopping and takes no more; push to another one\n", text)
	answer, text = s.do("GET", "/-/ready", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	assert.Equal(t, "edgehub is stopping.\n", text)
	assert.Equal(t, "edgehub is healthy.\n", s.get("/-/healthy"))
	assert.Equal(t, at("x", 1, 0), s.get("/metrics"), "who looks takes nothing")
	s.rejected("stopping", 1, 0)
	still(t, done)

	answer, text = s.do("GET", "/metrics", "", scrapeTimeout, "10")
	assert.Equal(t, at("x", 1, 0), text)
	assert.True(t, answer.Close)
	require.NoError(t, <-done)
	assert.Equal(t, Stats{Received: 1, Scraped: 1, Series: 1}, s.Stats())
	require.NoError(t, s.Drain(t.Context()), "once more")
}

func TestDrainOfAnEmptyHubIsQuickAndQuiet(t *testing.T) {
	j := &logtest.Buffer{}
	h := newHub(t, Config{Logger: j.Logger()})
	assert.NoError(t, h.Drain(ended()))
	assert.Empty(t, j.String())
}

// A push that is under way is finished and scraped.
func TestDrainFinishesPushes(t *testing.T) {
	s := serve(t, Config{})
	c := s.dial()
	c.announce(len(at("x", 1, 0)))
	done := s.drain()
	assert.Empty(t, s.scrape())
	still(t, done)
	c.send(at("x", 1, 0))
	answer, _ := c.answer()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	still(t, done)
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, <-done)
}

// Where its sender stalls to the end that is said, since it has no answer.
func TestDrainDuringAPush(t *testing.T) {
	s := serve(t, Config{})
	s.dial().announce(10)
	err := s.Drain(ended())
	assert.ErrorIs(t, err, context.Canceled)
	assert.ErrorContains(t, err, "0 samples wait for a scrape")
	assert.ErrorContains(t, err, "1 pushes are under way")
}

// What was handed over just before is neither believed at once nor given up: the
// scraper confirms it with its next scrape or the orderly end of its connection, or gets it again.
func TestDrainWaitsForTheConfirmation(t *testing.T) {
	for how, goesOn := range map[string]func(s *server, c *sender){
		"next scrape": func(_ *server, c *sender) { c.ask(10); c.answer() },
		"end":         func(_ *server, c *sender) { c.Close() },
		"reset": func(s *server, c *sender) {
			c.reset()
			s.awaitAborted(1)
			assert.Equal(s.t, at("x", 1, 0), s.scrape())
		},
	} {
		t.Run(how, func(t *testing.T) {
			s := serve(t, Config{})
			s.push(at("x", 1, 0))
			c := s.dial()
			c.ask(10)
			_, text := c.answer()
			require.Equal(t, at("x", 1, 0), text)
			done := s.drain()
			still(t, done)
			assert.Equal(t, 1, s.Stats().Unsure)
			goesOn(s, c)
			require.NoError(t, <-done)
			assert.EqualValues(t, 1, s.Stats().Scraped)
		})
	}
}

// All parts of all scrapers have to have everything.
func TestDrainWaitsForEveryCursorAndPart(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b"}})
	s.push(string(fleet(50, 1, base)))
	scrape := func(path string) {
		t.Helper()
		answer, _ := s.do("GET", path, "", scrapeTimeout, "10")
		require.Equal(t, http.StatusOK, answer.StatusCode)
	}
	done := s.drain()
	scrape("/metrics?cursor=a")
	scrape(partPath(1, 2, "&cursor=b"))
	require.Eventually(t, func() bool { return behind(s.store.Log.Lags()) == "b 2/2" }, 10*time.Second, time.Millisecond)
	still(t, done)
	scrape(partPath(2, 2, "&cursor=b"))
	require.NoError(t, <-done)
	assert.EqualValues(t, 100, s.Stats().Scraped)
}

// Several responses are needed where one does not hold everything.
func TestDrainInBites(t *testing.T) {
	s := serve(t, Config{MaxScrapeSamples: 2})
	s.push(at("x", 1, 0) + at("x", 2, 1) + at("x", 3, 2))
	done := s.drain()
	assert.Equal(t, at("x", 1, 0)+at("x", 2, 1), s.scrape())
	s.awaitBehind(1)
	still(t, done)
	assert.Equal(t, at("x", 3, 2), s.scrape())
	require.NoError(t, <-done)
}

// A scraper that gives up while the last response lies in its socket's buffer has
// nothing, and gets it again.
func TestLastScrapeThatIsGivenUpComesAgain(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()
	c := s.dial()
	c.ask(10)
	s.awaitScrapes(1)
	require.NoError(t, c.Close()) // unread
	s.awaitAborted(1)
	still(t, done)
	assert.Equal(t, 1, s.Stats().Pending)
	assert.Equal(t, at("x", 1, 0), s.scrape())
	require.NoError(t, <-done)
}

// A response that began before the hub drains is one like any other: the scraper
// keeps the connection, and only its own next scrape, or its end, tells.
func TestScrapeUnderWayWhenTheDrainBegins(t *testing.T) {
	for _, scrapesAgain := range []bool{true, false} {
		overPipes(t, Config{}, func(t *testing.T, h *Hub, dial func() *sender) {
			ingestAt(t, h, []byte("x 1\n"))
			c := dial()
			c.ask(10)
			synctest.Wait() // it is to be read
			done := make(chan error, 1)
			go func() { done <- h.Drain(t.Context()) }()
			synctest.Wait()
			answer, _ := c.answer()
			assert.False(t, answer.Close)
			c.send("GET /-/ready HTTP/1.1\r\nHost: hub\r\n\r\n")
			c.answer()
			synctest.Wait()
			still(t, done) // a probe says nothing
			if scrapesAgain {
				c.ask(10)
				c.answer()
			} else {
				c.Close()
			}
			require.NoError(t, <-done)
		})
	}
}

// The last response is a whole one for any client, compressed and over TLS, too.
func TestLastScrapeIsComplete(t *testing.T) {
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	var body strings.Builder
	for i := range int64(20_000) { // several writes
		body.WriteString(at("x", i, i))
	}
	for _, encrypted := range []bool{false, true} {
		h := newHub(t, Config{})
		ingestAt(t, h, []byte(body.String()))
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		server, url, client := h.HTTPServer(), "http://"+listener.Addr().String(), &http.Client{Transport: &http.Transport{}}
		listener = h.Listener(listener)
		if encrypted {
			listener = tls.NewListener(listener, certified.TLS)
			url, client = strings.Replace(url, "http:", "https:", 1), certified.Client()
		}
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()
		<-h.web.CloseEntrance() // as Drain does first
		done := make(chan error, 1)
		go func() { done <- h.Drain(t.Context()) }()
		assert.Equal(t, body.String(), scrapeFor(t, client, url)) // the client asks for gzip by itself
		require.NoError(t, <-done)
		client.CloseIdleConnections()
		require.NoError(t, server.Shutdown(t.Context()))
		require.ErrorIs(t, <-served, http.ErrServerClosed)
		require.Eventually(t, func() bool { return h.desk.Open() == 0 }, 10*time.Second, time.Millisecond)
	}
}

// scrapeFor scrapes the hub at a URL for the last time.
func scrapeFor(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url+"/metrics", nil)
	require.NoError(t, err)
	r.Header.Set(scrapeTimeout, "10")
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	assert.True(t, answer.Close)
	assert.NotEmpty(t, answer.Header.Get("Date"))
	assert.Equal(t, exposition.ContentType, answer.Header.Get("Content-Type"))
	return string(text)
}

// One that asks with ?drain=1, or in HTTP/1.0, confirms by the end of its connection.
func TestDrainByOtherClients(t *testing.T) {
	for _, request := range []string{
		"GET /metrics?drain=1 HTTP/1.1\r\nHost: hub\r\n\r\n",
		"POST /metrics?drain=1 HTTP/1.1\r\nHost: hub\r\nContent-Length: 0\r\n\r\n",
		"GET /metrics HTTP/1.0\r\n" + scrapeTimeout + ": 10\r\n\r\n",
	} {
		s := serve(t, Config{})
		s.push(at("x", 1, 0))
		done := s.drain()
		c := s.dial()
		c.send(request)
		_, text := c.answer()
		assert.Equal(t, at("x", 1, 0), text)
		still(t, done)
		assert.Equal(t, 1, s.Stats().Unsure, request)
		require.NoError(t, c.Close())
		require.NoError(t, <-done)
	}
}

// Under somebody else's server what is written has to do.
func TestDrainUnderAnotherServer(t *testing.T) {
	h := newHub(t, Config{})
	ingestAt(t, h, []byte(at("x", 1, 0)))
	<-h.web.CloseEntrance()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set(scrapeTimeout, "10")
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	assert.Equal(t, at("x", 1, 0), w.Body.String())
	assert.Equal(t, "close", w.Header().Get("Connection"))
	assert.NoError(t, h.Drain(t.Context()))
}

// Where no scraper comes the hub says all the time what it waits for, and in the
// end what is lost.
func TestDrainWithoutAScraper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := &logtest.Buffer{}
		h := newHub(t, Config{Logger: j.Logger(), Cursors: []string{"a", "b"}})
		ingestAt(t, h, []byte("x 1\ny 1\n"))
		begin := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 12*time.Second)
		defer cancel()
		err := h.Drain(ctx)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "drain the hub: 2 samples wait for a scrape, 0 pushes are under way: ")
		assert.Equal(t, 12*time.Second, time.Since(begin))
		assert.Equal(t, 3, j.Count("waiting for a scrape of what was pushed"), j.String())
		assert.Contains(t, j.String(), `samples=2 pushes_under_way=0 last_scrape=never behind="a, b" up_to=7s`)
	})
}

// At the end of its time the hub says what was handed over and is not known to have
// arrived. It does not believe that it has.
func TestDrainBelievesNothingAtTheEnd(t *testing.T) {
	for name, before := range map[string]bool{"before": true, "since": false} {
		t.Run("handed over "+name, func(t *testing.T) {
			overPipes(t, Config{}, func(t *testing.T, h *Hub, dial func() *sender) {
				ingestAt(t, h, []byte("x 1\n"))
				scrape := func(now bool) {
					if now {
						c := dial()
						c.ask(10)
						_, text := c.answer()
						assert.NotEmpty(t, text)
					}
					synctest.Wait()
				}
				scrape(before)
				ctx, end := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- h.Drain(ctx) }()
				synctest.Wait()
				scrape(!before)
				still(t, done)
				end()
				err := <-done
				assert.ErrorIs(t, err, context.Canceled)
				assert.ErrorContains(t, err, "1 samples wait for a scrape (1 were handed over and are not known to have arrived)")
				assert.Zero(t, h.Stats().Scraped)
			})
		})
	}
}

// A scraper that neither closes the connection nor goes on, as one that is halted,
// has nothing once its time is over.
func TestLastScrapeOfAHaltedScraper(t *testing.T) {
	overPipes(t, Config{}, func(t *testing.T, h *Hub, dial func() *sender) {
		ingestAt(t, h, []byte("x 1\n"))
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Drain(ctx) }()
		synctest.Wait()
		begin, c := time.Now(), dial()
		c.ask(10)
		c.answer()
		_, err := c.in.ReadByte() // until the hub closes the connection
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 11*time.Second, time.Since(begin))
		synctest.Wait()
		still(t, done)
		assert.Equal(t, 1, h.Stats().Pending)
		end()
		assert.ErrorContains(t, <-done, "1 samples wait")
	})
}

// A response that is still being written when the time is over counts once its scraper
// has told that it has it.
func TestLastScrapeAfterTheEnd(t *testing.T) {
	overPipes(t, Config{}, func(t *testing.T, h *Hub, dial func() *sender) {
		ingestAt(t, h, []byte("x 1\n"))
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- h.Drain(ctx) }()
		synctest.Wait()
		c := dial()
		c.ask(10)
		synctest.Wait() // it is to be read
		end()
		assert.ErrorContains(t, <-done, "1 samples wait")
		c.answer()
		synctest.Wait() // a pipe whose other end is closed takes no deadline, which a socket does
		c.Close()
		synctest.Wait()
		assert.Zero(t, h.Stats().Behind)
	})
}

// A client that closes only when the hub does has everything, too.
func TestLastScrapeOfAClientThatReadsToTheEnd(t *testing.T) {
	s := serve(t, Config{})
	s.push(at("x", 1, 0))
	done := s.drain()
	begin, c := time.Now(), s.dial()
	c.ask(30)
	text, err := io.ReadAll(c.in)
	require.NoError(t, err)
	assert.Contains(t, string(text), at("x", 1, 0))
	require.NoError(t, c.Close())
	require.NoError(t, <-done)
	assert.Less(t, time.Since(begin), 20*time.Second, "the hub waited for the client")
}
