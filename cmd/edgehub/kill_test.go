package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// kills is how often a hub is killed.
const kills = 25

// killed is a hub on disk that is killed and started again, senders that push to it, and the account of what they pushed.
type killed struct {
	t     *testing.T
	dir   string
	began time.Time // a while ago: each sample has a time of its own

	mu      sync.Mutex
	next    int
	names   []string // of the samples that were ever pushed, by value
	acked   map[int]bool
	scraped map[int]bool
}

// A hub is killed again and again, at any time, while it takes pushes and is scraped: every sample that it acknowledged is
// scraped, and none that was not pushed.
func TestKill(t *testing.T) {
	rounds := kills
	if testing.Short() {
		rounds = 4
	}
	for _, sync := range []string{"interval:100ms", "always"} {
		k := &killed{t: t, dir: t.TempDir(), began: time.Now().Add(-30 * time.Minute), acked: map[int]bool{}, scraped: map[int]bool{}}
		for range rounds {
			p := k.start(sync)
			k.load(p)
			require.Error(t, p.Wait())
		}
		p := k.start(sync)
		for n := 1; n > 0; {
			var err error
			n, err = k.scrape(http.DefaultClient, p.address)
			require.NoError(t, err)
		}
		require.NoError(t, p.Process.Signal(os.Interrupt))
		require.NoError(t, p.Wait(), p.log)
		missing := 0
		for value := range k.acked {
			if !k.scraped[value] {
				missing++
			}
		}
		assert.Zero(t, missing, "acknowledged samples that nobody has, of %d", len(k.acked))
		assert.Greater(t, len(k.acked), 100*rounds)
		assert.NotContains(t, p.log.String(), "damaged")
	}
}

// start starts the hub and waits until it is ready.
func (k *killed) start(sync string) *process {
	k.t.Helper()
	p := launch(k.t, "--storage.path="+k.dir, "--storage.sync="+sync)
	require.Eventually(k.t, func() bool {
		answer, err := http.Get("http://" + p.address + "/-/ready")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	}, 20*time.Second, 5*time.Millisecond)
	return p
}

// load pushes and scrapes until it kills the hub, some time later.
func (k *killed) load(p *process) {
	var all sync.WaitGroup
	for sender := range 3 {
		all.Go(func() {
			for k.push(p.address, sender) {
			}
		})
	}
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	all.Go(func() {
		for {
			if _, err := k.scrape(client, p.address); err != nil {
				return
			}
		}
	})
	kill := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
	<-kill.C
	require.NoError(k.t, p.Process.Kill())
	all.Wait()
}

// push pushes some samples, and says whether they were taken.
func (k *killed) push(address string, sender int) bool {
	var body strings.Builder
	k.mu.Lock()
	from := k.next
	for range 1 + rand.IntN(200) {
		name := fmt.Sprintf(`x{gatewayID="%d",n="%d"}`, sender, rand.IntN(100)+k.next/5000)
		fmt.Fprintf(&body, "%s %d %d\n", name, k.next, k.began.UnixMilli()+int64(k.next))
		k.names = append(k.names, name)
		k.next++
	}
	to := k.next
	k.mu.Unlock()
	answer, err := http.Post("http://"+address+"/metrics", "text/plain", strings.NewReader(body.String()))
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status says it
	answer.Body.Close()
	if !assert.Equal(k.t, http.StatusOK, answer.StatusCode) {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for value := from; value < to; value++ {
		k.acked[value] = true
	}
	return true
}

// scrape takes what there is, over a connection that is kept, and returns how many samples. What was not read whole was not got.
func (k *killed) scrape(client *http.Client, address string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, "http://"+address+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	answer, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	if answer.StatusCode != http.StatusOK {
		return 0, errors.New(answer.Status)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	n := 0
	for lines := bufio.NewScanner(strings.NewReader(string(text))); lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		value, err := strconv.Atoi(words[1])
		if !assert.NoError(k.t, err) || !assert.Less(k.t, value, k.next) || !assert.Equal(k.t, k.names[value], words[0]) {
			return 0, errors.New("invented")
		}
		k.scraped[value] = true
	}
	return n, nil
}
