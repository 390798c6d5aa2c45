package statuspage

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/exporter/status"
)

// ask requests the status. A header is a name and a value.
func ask(t testing.TB, method, target string, header ...string) *http.Response {
	t.Helper()
	return askFor(t, words("word"), method, target, header...)
}

func askFor(t testing.TB, report status.Report, method, target string, header ...string) *http.Response {
	t.Helper()
	req := httptest.NewRequest(method, target, nil)
	for pair := range slices.Chunk(header, 2) {
		req.Header.Add(pair[0], pair[1])
	}
	w := httptest.NewRecorder()
	Handler(func(gateway *string) status.Report {
		if gateway == nil {
			report.Gateway = nil
		} else {
			report.Gateway.ID = *gateway
		}
		return report
	}).ServeHTTP(w, req)
	return w.Result()
}

func bodyOf(t testing.TB, resp *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(body)
}

func TestHeaders(t *testing.T) {
	for _, target := range []string{"/", "/?format=json", "/?format=xml"} {
		h := ask(t, http.MethodGet, target).Header
		assert.Equal(t, "no-store", h.Get("Cache-Control"))
		assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
		assert.Equal(t, "no-referrer", h.Get("Referrer-Policy"))
		assert.Equal(t, "Accept", h.Get("Vary"))
		assert.Contains(t, h.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-")
	}
}

func TestMethods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		resp := ask(t, method, "/")
		assert.Equal(t, http.StatusMethodNotAllowed, resp.StatusCode)
		assert.Equal(t, "GET, HEAD", resp.Header.Get("Allow"))
	}
	head := ask(t, http.MethodHead, "/?format=html")
	assert.Equal(t, http.StatusOK, head.StatusCode)
	assert.Empty(t, bodyOf(t, head))
	assert.NotEmpty(t, head.Header.Get("Content-Length"))
	assert.Equal(t, "text/html; charset=utf-8", head.Header.Get("Content-Type"))
	bad := ask(t, http.MethodGet, "/?format=%3Cb%3E")
	assert.Equal(t, http.StatusBadRequest, bad.StatusCode)
	assert.Equal(t, "text/plain; charset=utf-8", bad.Header.Get("Content-Type"))
}

func TestFormats(t *testing.T) {
	const page, program = "text/html; charset=utf-8", "application/json"
	for _, c := range []struct{ query, accept, want string }{
		{"", "", page},
		{"", "*/*", page},
		{"", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", page},
		{"", "application/json", program},
		{"", "Application/JSON; charset=utf-8", program},
		{"", "application/json, text/plain, */*", program},
		{"", "text/html;q=0.5, application/json", program},
		{"", "application/json;q=0.5, text/html", page},
		{"", "application/json;q=0", page},
		{"", "application/json;q=x, ;;", page},
		{"?format=html", "application/json", page},
		{"?format=json", "text/html", program},
	} {
		resp := ask(t, http.MethodGet, "/"+c.query, "Accept", c.accept)
		assert.Equal(t, c.want, resp.Header.Get("Content-Type"), "%q, Accept: %s", c.query, c.accept)
	}
	resp := ask(t, http.MethodGet, "/", "Accept", "text/plain", "Accept", "application/json")
	assert.Equal(t, program, resp.Header.Get("Content-Type"), "in a second header")
}
