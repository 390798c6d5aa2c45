package tap

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const text = "# TYPE a gauge\na{gatewayID=\"g1\",x=\"1\"} 1 1000\na{gatewayID=\"g2\",x=\"1\"} NaN 2000\nb 3 -1\n"

var written = []Line{
	{Series: `a{gatewayID="g1",x="1"}`, Gateway: "g1", At: 1000},
	{Series: `a{gatewayID="g2",x="1"}`, Gateway: "g2", At: 2000},
	{Series: "b", At: -1},
}

func zipped(t *testing.T, s string) string {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, err := io.WriteString(zip, s)
	require.NoError(t, err)
	require.NoError(t, zip.Close())
	return out.String()
}

// What the tap notes is what the server got, compressed or not.
func TestTapNotesWhatTheServerGot(t *testing.T) {
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			got = append(got, string(body))
		}
		if r.URL.Path == "/full" {
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer server.Close()
	tap := &Tap{Base: http.DefaultTransport}
	client := &http.Client{Transport: tap}
	post := func(path, body, encoding string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Content-Encoding", encoding)
		resp, err := client.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	}
	packed := zipped(t, text)
	post("/metrics", text, "")
	post("/full", packed, "gzip")
	resp, err := client.Get(server.URL + "/-/ready")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	server.Close()
	_, err = client.Post(server.URL+"/metrics", "text/plain", strings.NewReader("a 1\n"))
	require.Error(t, err)

	require.Equal(t, []string{text, packed, ""}, got, "the last one is no push")
	pushes := tap.Pushes()
	require.Len(t, pushes, 3)
	require.Equal(t, []int{200, 429, 0}, []int{pushes[0].Status, pushes[1].Status, pushes[2].Status})
	require.True(t, pushes[0].Acknowledged())
	require.False(t, pushes[1].Acknowledged())
	for _, p := range pushes[:2] {
		require.Equal(t, strings.TrimPrefix(server.URL, "http://"), p.Hub)
		require.False(t, p.Ended.Before(p.Began))
		lines, err := p.Lines()
		require.NoError(t, err)
		require.Equal(t, written, lines)
	}
	_, err = pushes[2].Lines()
	require.ErrorContains(t, err, "no sample with a timestamp")
}
