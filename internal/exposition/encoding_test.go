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

func TestAcceptsUTF8(t *testing.T) {
	f := func(want bool, lines ...string) {
		t.Helper()
		assert.Equal(t, want, AcceptsUTF8(http.Header{"Accept": lines}), "%q", lines)
	}
	f(false)
	f(false, "")
	f(false, "*/*")
	f(true, "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5")
	f(true, "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;q=0.2")
	f(true, "*/*;q=0.1", `text/plain; Escaping = "allow-utf-8"`)
	f(false, "text/plain;version=1.0.0;escaping=values")
	f(false, "text/plain;version=0.0.4;escaping=underscores;q=0.3")
	f(false, "text/plain;escaped=allow-utf-8")
}
