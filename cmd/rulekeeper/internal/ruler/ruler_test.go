package ruler

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serving is a ruler that answers a reload and a question for its metrics.
func serving(t *testing.T, status int, metrics ...string) *Ruler {
	t.Helper()
	looked := 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST /prefix/-/reload", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "words of the ruler", status) })
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		if len(metrics) == 0 {
			http.Error(w, "none", status)
			return
		}
		fmt.Fprintf(w, "# HELP x y\n%s\nother 0\n", metrics[min(looked, len(metrics)-1)])
		looked++
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	r, err := New(server.URL+"/prefix/-/reload", server.Client().Transport)
	require.NoError(t, err)
	r.pause = time.Millisecond
	return r
}

func TestReload(t *testing.T) {
	taken := func(status int, metrics ...string) {
		t.Helper()
		assert.NoError(t, serving(t, status, metrics...).Reload(t.Context()))
	}
	taken(200, lastReload+" 1")
	taken(204, lastReload+" 0", lastReload+" 1") // it was late
	taken(200, "nothing of the kind 0")
	taken(200)

	refused := func(words string, status int, metrics ...string) {
		t.Helper()
		var refusal *RefusedError
		if assert.ErrorAs(t, serving(t, status, metrics...).Reload(t.Context()), &refusal) {
			assert.Contains(t, refusal.Error(), words)
		}
	}
	refused("500 Internal Server Error: words of the ruler", 500, lastReload+" 1")
	refused("400 Bad Request: words", 400)
	refused(lastReload+" is 0", 200, lastReload+" 0")

	for _, status := range []int{502, 503, 504} {
		r := serving(t, status)
		assert.ErrorIs(t, r.Reload(t.Context()), ErrNotUp)
		assert.False(t, r.Up(t.Context()))
	}
	assert.True(t, serving(t, 500).Up(t.Context()))
	assert.True(t, serving(t, 200, "x 1").Up(t.Context()))
}

// Of a ruler that is not there the same is said each time.
func TestNoRuler(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	r, err := New(server.URL, http.DefaultTransport)
	require.NoError(t, err)
	server.Close()
	err = r.Reload(t.Context())
	require.ErrorIs(t, err, ErrNotUp)
	assert.EqualError(t, err, "the ruler is not up: connect: connection refused")
	assert.False(t, r.Up(t.Context()))
}

func TestReloadURL(t *testing.T) {
	for _, at := range []string{"", "localhost:10902", "ftp://x/", "http:///x", "http://%zz"} {
		_, err := New(at, nil)
		assert.ErrorContains(t, err, "read the reload URL", at)
	}
}
