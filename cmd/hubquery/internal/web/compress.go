package web

import (
	"net/http"

	"github.com/klauspost/compress/gzhttp"
	"github.com/klauspost/compress/gzip"
)

// leastCompressed is how many bytes an answer has that is worth it.
const leastCompressed = 2 << 10

// compress compresses answers for those who ask for it. Prometheus' handlers would do it themselves, with a new
// compressor of 800 KiB for each of the many small answers, and as well as it can be done, which between machines of one
// cluster takes longer than the sending.
var compress = func() func(http.Handler) http.HandlerFunc {
	wrap, err := gzhttp.NewWrapper(gzhttp.MinSize(leastCompressed), gzhttp.CompressionLevel(gzip.BestSpeed), gzhttp.EnableZstd(false))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return func(next http.Handler) http.HandlerFunc {
		return wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Header.Del("Accept-Encoding")
			next.ServeHTTP(w, r)
		}))
	}
}()
