package edgehub

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Many senders push while two scrapers scrape and somebody looks: each scraper
// gets every accepted sample once.
func TestEverySampleIsScrapedOncePerCursor(t *testing.T) {
	const pushers, pushes, series = 8, 60, 20
	s := serve(t, Config{Cursors: []string{"a", "b"}, MaxSamples: 4 * pushers * series, IdleSeries: time.Second})
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	var readers sync.WaitGroup
	got := map[string]map[string]int{"a": {}, "b": {}}
	scrape := func(client *http.Client, path string, into map[string]int) {
		r, err := client.Get(s.url + path)
		if !assert.NoError(t, err) {
			return
		}
		defer r.Body.Close()
		for lines := bufio.NewScanner(r.Body); lines.Scan(); {
			into[lines.Text()]++
		}
	}
	clients := map[string]*http.Client{}
	for name, into := range got {
		client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
		defer client.CloseIdleConnections()
		clients[name] = client
		readers.Go(func() {
			for ctx.Err() == nil {
				scrape(client, "/metrics?drain=1&cursor="+name, into)
			}
		})
	}
	looker := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer looker.CloseIdleConnections()
	readers.Go(func() {
		for ctx.Err() == nil {
			scrape(looker, "/debug?verbose", map[string]int{})
		}
	})

	accepted := make([][]string, pushers)
	var writers sync.WaitGroup
	for p := range pushers {
		writers.Go(func() {
			client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
			defer client.CloseIdleConnections()
			for i := 0; i < pushes; {
				var body strings.Builder
				for n := range series {
					body.WriteString(strings.TrimSuffix(at(fmt.Sprintf(`x{gatewayID="%d",n="%d"}`, p, n), n, int64(i)), "\n") + "\n")
				}
				r, err := client.Post(s.url+"/metrics", "text/plain", strings.NewReader(body.String()))
				if !assert.NoError(t, err) {
					return
				}
				r.Body.Close()
				if r.StatusCode == http.StatusTooManyRequests {
					continue // all or nothing, so the same again
				}
				assert.Equal(t, http.StatusOK, r.StatusCode)
				accepted[p] = append(accepted[p], strings.Split(strings.TrimSuffix(body.String(), "\n"), "\n")...)
				i++
			}
		})
	}
	writers.Wait()
	stop()
	readers.Wait()
	for name, into := range got {
		scrape(clients[name], "/metrics?drain=1&cursor="+name, into)
		for p := range pushers {
			require.Len(t, accepted[p], pushes*series)
			for _, line := range accepted[p] {
				require.Equal(t, 1, into[line], "cursor %s: %s", name, line)
			}
		}
		assert.Len(t, into, pushers*pushes*series)
	}
	assert.EqualValues(t, pushers*pushes*series, s.Stats().Received)
}
