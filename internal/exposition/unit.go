package exposition

// Times in milliseconds that are between the first two are seconds, of the years 2001 to
// 2286, and not of January to April 1970. Those from the third on, the year 5138, are
// microseconds or nanoseconds.
const earliestSeconds, latestSeconds, latestMillis = 1_000_000_000, 10_000_000_000, 100_000_000_000_000

// IsOtherUnit says whether a time is not in milliseconds, as far as that can be told.
func IsOtherUnit(ms int64) bool {
	return uint64(ms-earliestSeconds) < latestSeconds-earliestSeconds || ms >= latestMillis
}

// OtherUnit says which unit a time seems to be in that is not in milliseconds, or "".
func OtherUnit(ms int64) string {
	switch {
	case !IsOtherUnit(ms):
		return ""
	case ms >= latestMillis:
		return "microseconds or nanoseconds"
	}
	return "seconds"
}
