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
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// A proxy that ends responses in order in the middle of a line, or of a number, does no harm to a server that scrapes
// OpenMetrics: it sees that the end is missing, and the hub, which asks it, gives all of it again. So each sample is there,
// once, and with its value.
func TestCutResponsesOfOpenMetrics(t *testing.T) {
	t.Parallel()
	var scrapes, cut atomic.Int64
	var closing sync.Mutex
	s := ownStack(t, stack.Config{
		Shards: 1, OpenMetrics: true,
		HubArgs: []string{"--no-gateway.first-samples", "--gateway.ends-after=0"},
		ScrapeVia: func(hub string) (string, error) {
			proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: hub})
			proxy.ModifyResponse = func(resp *http.Response) error {
				if resp.Header.Get("Content-Type") != "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8" {
					return fmt.Errorf("it is %s", resp.Header.Get("Content-Type"))
				}
				whole, err := io.ReadAll(resp.Body)
				if err != nil {
					return err
				}
				end := bytes.LastIndex(whole, []byte("value_total{"))
				if scrapes.Add(1)%2 == 1 && end > 0 {
					cut.Add(1)
					digits := bytes.IndexByte(whole[end:], ' ') + len(" 12")
					whole = whole[:end+digits]
				}
				resp.Header.Del("Content-Length")
				resp.Body = io.NopCloser(bytes.NewReader(whole))
				return nil
			}
			// The server asks for no compression here, so that a cut body is one that could be read.
			direct := proxy.Director
			proxy.Director = func(r *http.Request) {
				direct(r)
				r.Header.Set("Accept-Encoding", "identity")
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
	const series = `value_total{gatewayID="gw"}`
	var want []string
	for n := 0; cut.Load() < 3 || n < 20; n++ {
		ms := begin + int64(n)
		mustPush(t, hub, fmt.Sprintf("# TYPE value_total counter\n%s %d %d\n", series, 123456+n, ms))
		want = append(want, fmt.Sprintf("%d@%d", 123456+n, ms))
		eventually(t, patience, func(context.Context) error { // so that several scrapes have some
			if got := scrapes.Load(); got < int64(n/5) {
				return fmt.Errorf("%s scrapes", strconv.FormatInt(got, 10))
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
