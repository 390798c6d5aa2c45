package exposition

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAcceptsGzip(t *testing.T) {
	f := func(want bool, lines ...string) {
		t.Helper()
		assert.Equal(t, want, AcceptsGzip(http.Header{"Accept-Encoding": lines}), "%q", lines)
	}
	f(false)
	f(false, "")
	f(true, "gzip")
	f(true, "deflate, GZIP ; q=0.5")
	f(true, "br", "gzip;q=1.0")
	f(false, "gzip;q=0")
	f(false, "gzip; q=0.000, br")
	f(false, "gzip;q=much")
	f(false, "x-gzip")
}

// What is liked as much as gzip is zstd; Prometheus names it only where it is told to.
func TestAcceptsZstd(t *testing.T) {
	f := func(want bool, lines ...string) {
		t.Helper()
		assert.Equal(t, want, AcceptsZstd(http.Header{"Accept-Encoding": lines}), "%q", lines)
	}
	f(false)
	f(false, "gzip")
	f(false, "*")
	f(true, "zstd,gzip")
	f(true, "gzip;q=0.5", "ZSTD;q=0.5")
	f(false, "gzip;q=0.6, zstd;q=0.5")
	f(false, "gzip, zstd;q=0.9")
	f(true, "gzip;q=0,zstd;q=0.1")
	f(false, "zstd;q=0")
	f(false, "zstd;q=NaN")
}
