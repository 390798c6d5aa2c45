package verdict

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	after := func(value string, want time.Duration) {
		t.Helper()
		assert.Equal(t, want, retryAfter(http.Header{"Retry-After": {value}}, now), "%q", value)
	}
	assert.Zero(t, retryAfter(nil, now))
	after("", 0)
	after("0", 0)
	after(" 7 ", 7*time.Second)
	after("3600", time.Minute)
	after("18446744073709551615", time.Minute)
	after("99999999999999999999", time.Minute)
	after("1"+strings.Repeat("0", 30), time.Minute)
	after(strings.Repeat("9", 100_000), time.Minute)
	after("-1", 0)
	after("-"+strings.Repeat("9", 30), 0)
	after("1e30", 0)
	after("soon", 0)
	after("Tue, 01 Jan 2030 00:00:30 GMT", 30*time.Second)
	after("Tue, 01 Jan 2030 01:00:00 GMT", time.Minute)
	after("Fri, 31 Dec 9999 23:59:59 GMT", time.Minute)
	after("Mon, 31 Dec 2029 00:00:00 GMT", 0)
	after("Mon, 01 Jan 0001 00:00:00 GMT", 0)
}
