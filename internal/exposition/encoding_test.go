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

// A coding has the quality with which it is named, and none where what is not compressed is liked better.
func TestLikedCodings(t *testing.T) {
	f := func(wantGzip, wantZstd float64, lines ...string) {
		t.Helper()
		gzip, zstd := LikedCodings(http.Header{"Accept-Encoding": lines})
		assert.Equal(t, []float64{wantGzip, wantZstd}, []float64{gzip, zstd}, "%q", lines)
	}
	f(0, 0)
	f(1, 0, "gzip")
	f(0, 0, "*")
	f(1, 1, "zstd,gzip")
	f(0.5, 0.5, "gzip;q=0.5", "ZSTD;q=0.5")
	f(0.6, 0.5, "gzip;q=0.6, zstd;q=0.5")
	f(0, 0.1, "gzip;q=0,zstd;q=0.1")
	f(0, 0, "zstd;q=0")
	f(0, 0, "zstd;q=NaN")
	f(0, 0, "identity")
	f(0.4, 0, "identity;q=0.3, gzip;q=0.4, zstd;q=0.2")
	f(1, 1, "gzip, zstd, identity;q=0")
}
