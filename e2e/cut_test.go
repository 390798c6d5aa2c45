package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// A proxy that ends responses in order in the middle, be it of a number, does no harm to a server that scrapes
// OpenMetrics: it sees that the end is missing, and the hub, which asks it, gives all of it again. So each sample is there,
// once, and with its value.
func TestCutResponsesOfOpenMetrics(t *testing.T) {
	t.Parallel()
	const series = `value_total{gatewayID="gw"}`
	places := []int{len(series) + len(" 12"), 0, len("value_total{gate")} // of a line; the first makes another value of 123456
	var scrapes, cut atomic.Int64
	var closing sync.Mutex
	s := ownStack(t, stack.Config{
		Shards: 1, OpenMetrics: true,
		HubArgs: []string{"--no-gateway.first-samples", "--gateway.ends-after=0"},
		ScrapeVia: func(hub string) (string, error) {
			proxy := &httputil.ReverseProxy{}
			proxy.Rewrite = func(r *httputil.ProxyRequest) {
				r.SetURL(&url.URL{Scheme: "http", Host: hub})
				r.Out.Host = r.In.Host                          // by which the hub finds itself in the server's list of targets
				r.Out.Header.Set("Accept-Encoding", "identity") // so that a part of a body can be read
			}
			proxy.ModifyResponse = func(resp *http.Response) error {
				if resp.Header.Get("Content-Type") != "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8" {
					return fmt.Errorf("it is %s", resp.Header.Get("Content-Type"))
				}
				whole, err := io.ReadAll(resp.Body)
				if err != nil {
					return err
				}
				scrapes.Add(1)
				last := bytes.LastIndex(whole, []byte("value_total{"))
				if n := int(cut.Load()); last >= 0 && n < len(places) {
					whole = whole[:last+places[n]]
					cut.Add(1)
				}
				resp.Header.Del("Content-Length")
				resp.Body = io.NopCloser(bytes.NewReader(whole))
				return nil
			}
			server := httptest.NewServer(proxy)
			closing.Lock()
			defer closing.Unlock()
			t.Cleanup(server.Close)
			return server.Listener.Addr().String(), nil
		},
	})
	hub, server := s.Shards[0].Hub, promapi.New(s.Shards[0].Prometheus)
	begin := time.Now().UnixMilli()
	var want []string
	for n := 0; int(cut.Load()) < len(places) || n < 20; n++ {
		ms := begin + int64(n)
		mustPush(t, hub, fmt.Sprintf("# TYPE value_total counter\n%s %d %d\n", series, 123456+n, ms))
		want = append(want, fmt.Sprintf("%d@%d", 123456+n, ms))
		eventually(t, patience, func(context.Context) error { // so that several scrapes have some
			if got := int(scrapes.Load()); got < n/5 {
				return fmt.Errorf("%d scrapes", got)
			}
			return nil
		})
	}
	eventually(t, patience, func(ctx context.Context) error {
		got, err := server.Vector(ctx, `count_over_time(value_total[10m])`)
		if err == nil && (len(got) != 1 || int(got[0].Value) < len(want)) {
			err = fmt.Errorf("it has %v", got)
		}
		return err
	})
	require.Equal(t, map[string][]string{`value_total{gatewayID="gw", job="edgehub"}`: want}, contents(t, server, `value_total[10m]`))
}
