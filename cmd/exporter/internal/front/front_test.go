package front

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/logtest"
)

// place is a Front with the hubs behind it.
type place struct {
	*Front
	t    *testing.T
	url  string
	hubs []*edgehub.Hub
	urls []string
	log  logtest.Buffer
	next atomic.Pointer[string] // the config file
}

// hub starts one more hub.
func (p *place) hub() (url string) {
	h, err := edgehub.New(edgehub.Config{Logger: p.log.Logger(), NoFirstSamples: true, Name: fmt.Sprintf("hub-%d", len(p.hubs))})
	require.NoError(p.t, err)
	s := httptest.NewServer(h.Handler())
	p.t.Cleanup(func() {
		s.Close()
		h.Close(context.Background())
	})
	p.hubs, p.urls = append(p.hubs, h), append(p.urls, s.URL)
	return s.URL
}

// list is a config file's list of all hubs.
func (p *place) list() string {
	return "hubs: [{url: '" + strings.Join(p.urls, "'}, {url: '") + "'}]\n"
}

func open(t *testing.T, hubs int, more string) *place {
	t.Helper()
	p := &place{t: t}
	for range hubs {
		p.hub()
	}
	p.open(p.list() + more)
	return p
}

// openOn opens a place with a hub that the test has.
func (p *place) openOn(hub, more string) {
	p.t.Helper()
	p.open("hubs: [{url: '" + hub + "'}]\n" + more)
}

// open opens a place of a config file.
func (p *place) open(file string) {
	p.t.Helper()
	p.write(file)
	load := func() (*config.Config, error) { return config.Parse([]byte(*p.next.Load())) }
	cfg, err := load()
	require.NoError(p.t, err)
	p.Front, err = New(Config{Config: cfg, Load: load, Lifecycle: true, Registry: prometheus.NewRegistry(), Logger: p.log.Logger()})
	require.NoError(p.t, err)
	s := httptest.NewServer(p.Handler())
	p.t.Cleanup(func() {
		s.Close()
		_ = p.Close(ended())
	})
	p.url = s.URL
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// write writes the config file.
func (p *place) write(text string) { p.next.Store(&text) }

// do sends a request, and returns status and text of the answer.
func (p *place) do(method, path, body string, headers ...string) (int, string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, strings.NewReader(body))
	require.NoError(p.t, err)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	require.NoError(p.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return resp.StatusCode, string(text)
}

func (p *place) pushed(path, body string, headers ...string) {
	p.t.Helper()
	status, text := p.do(http.MethodPost, path, body, headers...)
	require.Equal(p.t, http.StatusOK, status, text)
	require.Empty(p.t, text)
}

// flush waits until what was taken is at hubs.
func (p *place) flush() {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	require.NoError(p.t, p.running.exporter.Flush(ctx))
}

// have are the series that hubs have, each with its hub.
func (p *place) have() map[string]int {
	all := map[string]int{}
	for i, h := range p.hubs {
		for series := range h.Pending() {
			all[series] = i
		}
	}
	return all
}

// What is pushed is at the home of its gateway.
func TestPushesGoHome(t *testing.T) {
	p := open(t, 3, "labels: {cluster: one}\n")
	var body strings.Builder
	for i := range 50 {
		fmt.Fprintf(&body, "# a comment\nload{gatewayID=\"gw-%d\"} %d 1700000000000\n", i, i)
	}
	p.pushed("/metrics", body.String())
	p.flush()
	have := p.have()
	require.Len(t, have, 50)
	used := map[int]bool{}
	for i := range 50 {
		key := fmt.Sprintf("gw-%d", i)
		at, ok := have[fmt.Sprintf("load{cluster=\"one\",gatewayID=%q}", key)]
		require.True(t, ok)
		home, ok := p.running.exporter.Home(key)
		require.True(t, ok)
		assert.Equal(t, p.urls[at], home.URL)
		used[at] = true
	}
	assert.Len(t, used, 3)
	assert.InDelta(t, 50, testutil.ToFloat64(p.counts.samples.WithLabelValues(doorMetrics)), 0)
}

func TestRefusals(t *testing.T) {
	p := open(t, 1, "limits: {body_bytes: 1000, samples: 10}\nqueue: {max_bytes: 2000000}\n")
	refused := func(want int, reason, body string, headers ...string) {
		t.Helper()
		before := testutil.ToFloat64(p.counts.refused.WithLabelValues(doorMetrics, reason))
		status, text := p.do(http.MethodPost, "/metrics", body, headers...)
		assert.Equal(t, want, status, text)
		assert.NotEmpty(t, text)
		assert.InDelta(t, before+1, testutil.ToFloat64(p.counts.refused.WithLabelValues(doorMetrics, reason)), 0)
	}
	refused(400, "malformed", "x 1\nbad\n")
	refused(413, "body_too_large", strings.Repeat("#", 1001))
	refused(413, "too_many_samples", strings.Repeat("x 1\n", 11))
	refused(400, "encoding", "no gzip", "Content-Encoding", "gzip")
	refused(415, "encoding", "x 1\n", "Content-Encoding", "unknown")
	for range p.now.Load().limits.Pushes {
		p.now.Load().places <- struct{}{}
	}
	refused(503, "too_many_pushes", "x 1\n")
	require.NoError(t, p.Reload(), "it has another gate")
	p.flush()
	assert.Empty(t, p.have())
	require.NoError(t, p.Close(t.Context()))
	refused(503, "stopping", "x 1\n")
	status, _ := p.do(http.MethodGet, "/-/ready", "")
	assert.Equal(t, 503, status)
}

// A group is at its home and nowhere else, whatever the path calls it.
func TestGroupsGoHome(t *testing.T) {
	p := open(t, 3, "")
	for i := range 20 {
		p.pushed(fmt.Sprintf("/metrics/job/backup/db/%d/gatewayID/gw-%d", i, i%4), "rows 1\n")
		p.pushed(fmt.Sprintf("/metrics/job/backup/gatewayID@base64/%s/db/%d", []string{"Z3ctMA", "Z3ctMQ", "Z3ctMg", "Z3ctMw"}[i%4], i), "size 1\n")
		p.pushed(fmt.Sprintf("/metrics/job/other/a/%d/b/a%%2Fb", i), "rows 1\n")
		p.pushed(fmt.Sprintf("/metrics/job/other/b@base64/YS9i/a/%d", i), "size 1\n")
	}
	total := 0
	for i, url := range p.urls {
		resp, err := http.Get(url + "/metrics")
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		rows, size := strings.Count(string(text), "\nrows{"), strings.Count(string(text), "\nsize{")
		assert.Equal(t, rows, size)
		assert.Positive(t, rows, i)
		total += rows
	}
	assert.Equal(t, 40, total)

	status, text := p.do(http.MethodDelete, "/metrics/job/other/a/3/b@base64/YS9i", "")
	assert.Equal(t, 202, status, text)
	status, text = p.do(http.MethodPost, "/metrics/job/j/odd", "x 1\n")
	assert.Equal(t, 400, status)
	assert.Contains(t, text, "without a value")
	status, text = p.do(http.MethodPut, "/metrics/job/j", "x 1 1700000000000\n")
	assert.Equal(t, 400, status, "the hub's own answer")
	assert.Contains(t, text, "timestamp")
	assert.InDelta(t, 81, testutil.ToFloat64(p.counts.pushes.WithLabelValues(doorGroups)), 0)
	assert.InDelta(t, 1, testutil.ToFloat64(p.counts.refused.WithLabelValues(doorGroups, "hub")), 0)
}

// A hub that is down, or answers with a redirect, has not taken a group.
func TestGroupWithoutItsHub(t *testing.T) {
	elsewhere := httptest.NewServer(http.RedirectHandler("/elsewhere", http.StatusMovedPermanently))
	defer elsewhere.Close()
	for _, url := range []string{"http://" + unused(t), elsewhere.URL} {
		p := &place{t: t}
		p.openOn(url, "limits: {body_bytes: 100}\n")
		status, text := p.do(http.MethodPost, "/metrics/job/j", "x 1\n")
		assert.Equal(t, 503, status)
		assert.Contains(t, text, "does not answer")
		status, _ = p.do(http.MethodPost, "/metrics/job/j", strings.Repeat("#", 101))
		assert.Equal(t, 413, status)
	}
}

// unused is an address where nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// Another config file makes another exporter, and what the one before had is not lost; a wrong one changes nothing.
func TestReload(t *testing.T) {
	p := open(t, 1, "")
	p.pushed("/metrics", "before{gatewayID=\"a\"} 1\n")
	status, _ := p.do(http.MethodPost, "/-/reload", "")
	assert.Equal(t, 200, status, "nothing has changed")

	first := p.running.exporter
	p.write("hubs: nowhere\n")
	status, text := p.do(http.MethodPost, "/-/reload", "")
	assert.Equal(t, 500, status)
	assert.Contains(t, text, "line 1")
	assert.Same(t, first, p.running.exporter)
	assert.Zero(t, testutil.ToFloat64(p.counts.reload))

	p.hub()
	p.write(p.list() + "labels: {new: label}\nlimits: {samples: 7}\n")
	status, text = p.do(http.MethodPost, "/-/reload", "")
	require.Equal(t, 200, status, text)
	assert.NotSame(t, first, p.running.exporter)
	assert.Equal(t, 7, p.now.Load().limits.Samples)
	p.pushed("/metrics", "after{gatewayID=\"a\"} 1\n")
	p.flush()
	<-p.running.draining
	have := p.have()
	assert.Contains(t, have, `before{gatewayID="a"}`)
	assert.Contains(t, have, `after{gatewayID="a",new="label"}`)
	families, err := p.Gather()
	require.NoError(t, err)
	assert.NotEmpty(t, families)
}

// With a directory on disk the next exporter has what the one before left there.
func TestReloadWithSpool(t *testing.T) {
	spool := "spool: {dir: '" + t.TempDir() + "', policy: all}\n"
	p := open(t, 1, spool)
	p.pushed("/metrics", "before{gatewayID=\"a\"} 1\n")
	p.write(p.list() + spool + "labels: {new: label}\n")
	require.NoError(t, p.Reload())
	p.pushed("/metrics", "after{gatewayID=\"a\"} 1\n")
	p.flush()
	have := p.have()
	assert.Contains(t, have, `before{gatewayID="a"}`)
	assert.Contains(t, have, `after{gatewayID="a",new="label"}`)
}

// While what was queued before a reload waits for its hub another reload changes nothing.
func TestReloadTooSoon(t *testing.T) {
	p := &place{t: t}
	gone := unused(t)
	p.openOn("http://"+gone, "")
	err := p.takeText(t.Context(), []byte("x 1\n"), 1)
	require.NoError(t, err)
	p.write("hubs: [{url: 'http://" + gone + "'}]\nlabels: {a: b}\n")
	require.NoError(t, p.Reload())
	p.write("hubs: [{url: 'http://" + gone + "'}]\nlabels: {a: c}\n")
	require.ErrorIs(t, p.Reload(), errDraining)
	assert.Equal(t, "b", p.running.cfg.Labels["a"])
	require.ErrorAs(t, p.Close(ended()), new(*exporter.UndeliveredError))
	assert.Contains(t, p.log.String(), "queued before the reload are lost")
}

func TestPages(t *testing.T) {
	p := open(t, 1, "")
	for path, want := range map[string]string{
		"/-/healthy": "healthy", "/-/ready": "ready", "/metrics": "hubring_exporter_door_pushes_total", "/": "<html", "/?format=json": "ring",
	} {
		status, text := p.do(http.MethodGet, path, "")
		assert.Equal(t, 200, status, path)
		assert.Contains(t, text, want, path)
	}
	status, _ := p.do(http.MethodGet, "/nothing", "")
	assert.Equal(t, 404, status)
	status, _ = p.do(http.MethodPut, "/metrics", "")
	assert.Equal(t, 405, status)
	p.cfg.Lifecycle = false
	status, _ = p.do(http.MethodPost, "/-/reload", "")
	assert.Equal(t, 403, status)
}

// A stop does not wait for a reload longer than it may take itself.
func TestStopWhileReloading(t *testing.T) {
	p := &place{t: t}
	gone := unused(t)
	file := "hubs: [{url: 'http://" + gone + "'}]\nspool: {dir: '" + t.TempDir() + "'}\nsend: {flush_timeout: 1h}\n"
	p.open(file)
	p.pushed("/metrics", "x 1\n")
	p.write(file + "labels: {new: label}\n")
	reloaded := make(chan error, 1)
	go func() { reloaded <- p.Reload() }()
	require.Eventually(t, func() bool {
		free := p.running.reloading.TryLock()
		if free {
			p.running.reloading.Unlock()
		}
		return !free
	}, 10*time.Second, time.Millisecond)
	select {
	case err := <-reloaded:
		t.Fatalf("it did not wait for the hub: %v", err)
	case <-time.After(100 * time.Millisecond): // none of it is to end by itself
	}
	closed := make(chan error, 1)
	go func() { closed <- p.Close(ended()) }()
	select {
	case err := <-closed:
		require.NoError(t, err, "it is on disk")
	case <-time.After(20 * time.Second):
		t.Fatal("the stop hangs")
	}
	<-reloaded
}
