package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
)

// A collector has the spans of every query by the time that the process has ended, and none that is not there holds
// anything up.
func TestSpansReachTheCollector(t *testing.T) {
	sent := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		spans, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		sent <- r.Method + " " + r.URL.Path + " " + r.Header.Get("Content-Type") + " " + string(spans)
	}))
	defer collector.Close()
	for _, endpoint := range []string{collector.URL, "http://127.0.0.1:1"} {
		p := begin(t, "--shard=0="+servertest.New(t, nil).URL, "--web.listen-address=127.0.0.1:0", "--tracing.endpoint="+endpoint)
		address := p.await(`Listening on.* address=(\S+)`)
		resp, err := http.Get("http://" + address + "/api/v1/query?query=sum(up)")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
		if endpoint == collector.URL {
			got := <-sent
			assert.Contains(t, got, "POST /v1/traces application/x-protobuf ")
			assert.Contains(t, got, "GET /api/v1/query")
			assert.Contains(t, got, "hubquery.query")
		} else {
			p.await("spans were not sent")
		}
		require.NoError(t, p.gone())
	}
}
