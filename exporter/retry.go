package exporter

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxRetryAfter bounds what a hub may ask for, so that a wrong clock or a
	// typing error does not put it out of use.
	maxRetryAfter = time.Minute
	// maxProbeTime bounds the question whether a hub is ready, which asks for a few
	// bytes: a hub that is back must not wait for one whose packets were lost.
	maxProbeTime = 2 * time.Second
	// flushProbeWait bounds the wait for the next probe while Run flushes:
	// there is little time left, and a probe is cheap.
	flushProbeWait = time.Second
)

// backoff returns how long to step over a hub that failed n times in a row:
// lowest, doubled for each failure after the first, at most highest. A random
// part of up to a half is taken off, so that controllers that lost a hub
// together do not return to it together.
func backoff(n int, lowest, highest time.Duration, random func(int64) int64) time.Duration {
	d := highest
	if shift := max(n-1, 0); shift < 32 && lowest < highest>>shift {
		d = lowest << shift
	}
	return d - time.Duration(random(int64(d)/2+1))
}

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
