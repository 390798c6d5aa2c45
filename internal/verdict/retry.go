package verdict

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter bounds what a hub may ask for, so that a wrong clock or a
// typing error does not put it out of use.
const maxRetryAfter = time.Minute

// retryAfter reads the header of that name, in seconds or as a date. It returns
// 0 if there is none, it makes no sense or has passed, and at most
// maxRetryAfter.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0
	}
	switch s, err := strconv.ParseUint(v, 10, 64); {
	case err == nil:
		return time.Duration(min(s, uint64(maxRetryAfter/time.Second))) * time.Second
	case errors.Is(err, strconv.ErrRange): // all digits, and too many
		return maxRetryAfter
	}
	if t, err := http.ParseTime(v); err == nil {
		return min(max(t.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
