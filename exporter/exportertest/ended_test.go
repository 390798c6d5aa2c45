package exportertest_test

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/exportertest"
)

// What a hub makes of being told that gateways left it.
func TestHubHearsEnds(t *testing.T) {
	hub, client, url := served(t)
	f := func(body string, status int, answer string, ends ...exportertest.End) {
		t.Helper()
		hub.Reset()
		resp, err := client.Do(request(t, http.MethodPost, url+"/gateways/ended", strings.NewReader(body), "Content-Type", "text/plain"))
		require.NoError(t, err)
		defer resp.Body.Close()
		got, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, status, resp.StatusCode)
		assert.Contains(t, string(got), answer)
		heard := hub.Ends()
		for i := range heard {
			assert.False(t, heard[i].At.IsZero())
			heard[i].At = ends[i].At
		}
		assert.Equal(t, ends, heard)
	}
	f("", 200, "")
	f("gw-1 1700000000000\n 5\na+b%0A -1\n", 200, "",
		exportertest.End{Gateway: "gw-1", Timestamp: 1_700_000_000_000}, exportertest.End{Timestamp: 5}, exportertest.End{Gateway: "a b\n", Timestamp: -1})
	f("gw-1 5", 400, "does not end")
	f("gw-1 5\ngw-2\n", 400, "line 2")
	f("gw-1 soon\n", 400, "line 1")
	f("% 5\n", 400, "line 1")
	f(strings.Repeat("a 1\n", 10_001), 400, "10001 lines")
	f(strings.Repeat("a", 1<<20)+" 1\n", 400, "bytes")

	hub.Ended(exportertest.Reply{Status: http.StatusNotFound})
	f("gw-1 5\n", 404, "")
	hub.Ended(exportertest.Reply{Status: http.StatusInternalServerError, Kept: true})
	f("gw-1 5\n", 500, "", exportertest.End{Gateway: "gw-1", Timestamp: 5})
	hub.Recover()
	var told []string
	hub.OnEnded(func(ends []exportertest.End) {
		for _, e := range ends {
			told = append(told, e.Gateway+" "+strconv.FormatInt(e.Timestamp, 10))
		}
	})
	f("gw-1 5\n", 200, "", exportertest.End{Gateway: "gw-1", Timestamp: 5})
	assert.Equal(t, []string{"gw-1 5"}, told)
}

// An answer that is lost, and a request that is cut.
func TestHubLosesEnds(t *testing.T) {
	hub, client, url := served(t)
	for _, kept := range []bool{true, false} {
		hub.Reset()
		hub.Ended(exportertest.Reply{Lost: kept})
		if !kept {
			hub.Ended(exportertest.Reply{CutAfter: -1})
		}
		resp, err := client.Do(request(t, http.MethodPost, url+"/gateways/ended", strings.NewReader("gw-1 5\n")))
		if err == nil {
			resp.Body.Close()
		}
		require.Error(t, err)
		assert.Equal(t, kept, len(hub.Ends()) > 0)
	}
}
