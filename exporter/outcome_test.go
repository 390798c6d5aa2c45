package exporter

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestJudge(t *testing.T) {
	gzip := http.Header{"Accept-Encoding": {"gzip"}}
	is := func(status int, compressed bool, h http.Header, want outcome) {
		t.Helper()
		assert.Equal(t, want, judge(status, h, compressed, "", time.Time{}).outcome, "status %d", status)
	}
	for _, status := range []int{200, 202, 204} {
		is(status, false, nil, delivered)
	}
	for _, status := range []int{400, 413, 422} {
		is(status, false, nil, refused)
		is(status, true, gzip, refused)
	}
	for _, status := range []int{301, 307, 401, 403, 404, 405, 406, 408, 415, 429, 500, 502, 503, 504} {
		is(status, false, nil, tryNext)
	}
	is(415, true, nil, resendPlain)
	is(415, true, gzip, resendPlain)
	is(400, true, nil, resendPlain)
	is(413, true, nil, refused)
}
