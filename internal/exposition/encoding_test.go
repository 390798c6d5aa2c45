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
