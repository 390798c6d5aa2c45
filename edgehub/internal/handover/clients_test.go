package handover

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// scraper is a real client of the hub.
func (h *hub) scraper(keepsConnections bool) (client *http.Client, url string) {
	transport := &http.Transport{TLSClientConfig: h.tls, DisableKeepAlives: !keepsConnections, MaxIdleConnsPerHost: 10}
	h.t.Cleanup(transport.CloseIdleConnections)
	url = "http://"
	if h.tls != nil {
		url = "https://"
	}
	return &http.Client{Transport: transport, Timeout: patience}, url + h.dialer().RemoteAddr().String()
}

func fetch(client *http.Client, url string) (text string, err error) {
	answer, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// Clients of net/http, as Prometheus is one, have what they got, whether or not they
// keep their connections, and a hub that drains knows it at once.
func TestRealClients(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		for _, keeps := range []bool{true, false} {
			h := serve(t, options...)
			client, url := h.scraper(keeps)
			scrape := func() {
				t.Helper()
				text, err := fetch(client, url+"/a?size=300000")
				require.NoError(t, err)
				require.Greater(t, len(text), 300000)
			}
			const rounds = 20
			told := 0
			for n := range rounds {
				scrape()
				if !keeps || n > 0 {
					told++
					h.becomes(fmt.Sprintf("%d taken", told))
				}
			}
			h.set(func() { h.closing = true })
			scrape()
			for ; told <= rounds; told++ {
				h.becomes(fmt.Sprintf("%d taken", told+1))
			}
		}
	})
}

// Scrapes of several keys that overlap share a client's connections, which change
// hands. Each is taken when the next one of its key begins.
func TestOverlappingKeysOfAClient(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		client, url := h.scraper(true)
		const rounds, keys = 50, 3
		for range rounds {
			var group sync.WaitGroup
			for key := range keys {
				group.Go(func() {
					_, err := fetch(client, fmt.Sprintf("%s/%d?size=50000", url, key))
					assert.NoError(t, err)
				})
			}
			group.Wait()
		}
		var all []string
		for range (rounds - 1) * keys {
			select {
			case got := <-h.outcomes:
				all = append(all, strings.Fields(got)[1])
			case <-time.After(patience):
				t.Fatal("some are not settled:", len(all))
			}
		}
		assert.Equal(t, []string{"taken"}, slices.Compact(all))
		h.undecided()
		assert.Empty(t, h.texts(Conflict))
	})
}

// Whatever clients do: what counts as taken was read, and what was read is lost only
// where its connection did not end in order. Nothing is told twice, or never.
func TestTakenMeansRead(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...option) {
		h := serve(t, options...)
		const clients, turns = 8, 60
		var mu sync.Mutex
		reads, inOrder := map[string]bool{}, map[string]bool{}
		var group sync.WaitGroup
		for id := range clients {
			group.Go(func() {
				random := rand.New(rand.NewPCG(uint64(id), 12))
				for range turns {
					all, orderly := wander(h, random, id)
					mu.Lock()
					for _, n := range all {
						reads[n], inOrder[n] = true, orderly
					}
					mu.Unlock()
				}
			})
		}
		group.Wait()
		require.Eventually(t, func() bool { return h.desk.Open() == 0 && len(h.outcomes) == h.scraped() }, patience, time.Millisecond)
		told := map[string]bool{}
		for len(h.outcomes) > 0 {
			n, what, _ := strings.Cut(<-h.outcomes, " ")
			assert.False(t, told[n], "told twice: %s", n)
			told[n] = true
			if what == "taken" {
				assert.True(t, reads[n], "%s was not read", n)
			} else {
				assert.False(t, reads[n] && inOrder[n], "%s was read: %s", n, what)
			}
		}
	})
}

// wander opens a connection, does something with it, and closes it. It returns what it
// has read, and whether nothing lay unread in the end.
func wander(h *hub, random *rand.Rand, id int) (read []string, orderly bool) {
	p := h.dial()
	defer p.Close()
	agent := fmt.Sprintf("User-Agent: %d", id)
	path := func() string {
		return fmt.Sprintf("/%d?size=%d", random.IntN(2), random.IntN(2)*random.IntN(1<<18))
	}
	take := func() (last bool) {
		answer, err := http.ReadResponse(p.in, nil)
		if !assert.NoError(h.t, err) {
			return true
		}
		text, err := io.ReadAll(answer.Body)
		assert.NoError(h.t, err)
		n, _, _ := strings.Cut(strings.TrimPrefix(string(text), "scrape "), "\n")
		read = append(read, n)
		return answer.Close
	}
	for range random.IntN(5) {
		if random.IntN(4) == 0 {
			p.send("POST /push HTTP/1.1\r\nHost: hub\r\nContent-Length: 1\r\n" + agent + "\r\n\r\nx")
			_, err := http.ReadResponse(p.in, nil)
			assert.NoError(h.t, err)
			continue
		}
		p.get(path(), agent)
		if take() {
			return read, true
		}
	}
	switch random.IntN(5) {
	case 1:
		p.get(path(), agent, "Connection: close")
		take()
	case 2:
		p.send("GET " + path() + " HTTP/1.0\r\n" + agent + "\r\n\r\n")
		take()
	case 3: // it gives up before the response comes, or when it is there
		p.get(path(), agent)
		return read, false
	case 4: // it gives up in the middle, when TLS has read a record and some
		p.get("/0?size=100000", agent)
		_, err := p.Read(make([]byte, 1))
		assert.NoError(h.t, err)
		return read, false
	}
	return read, true
}
