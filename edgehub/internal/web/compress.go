package web

import (
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hubring/hubring/internal/exposition"
)

// zstdWindow is how far back a response refers. Prometheus takes 8 MiB; a twentieth of that is
// as small, since what repeats is near, and bounds what each encoder holds.
const zstdWindow = 512 << 10

// compressor is a pool's writer that compresses.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

var (
	gzips = sync.Pool{New: func() any {
		z, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
		if err != nil {
			panic("BUG: gzip level: " + err.Error())
		}
		return z
	}}
	zstds = sync.Pool{New: func() any {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest),
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("BUG: zstd options: " + err.Error())
		}
		return z
	}}
)

// compressed has a response written in the coding that its request likes, zstd where that
// is liked as much as gzip: it costs both ends less.
func compressed(accepted http.Header, w http.ResponseWriter, write func(io.Writer) error) error {
	switch {
	case exposition.AcceptsZstd(accepted):
		return through(&zstds, "zstd", w, write)
	case exposition.AcceptsGzip(accepted):
		return through(&gzips, "gzip", w, write)
	}
	return write(w)
}

func through(pool *sync.Pool, coding string, w http.ResponseWriter, write func(io.Writer) error) error {
	w.Header().Set("Content-Encoding", coding)
	z := pool.Get().(compressor)
	defer func() {
		z.Reset(nil) // so that it does not hold the response
		pool.Put(z)
	}()
	z.Reset(w)
	if err := write(z); err != nil {
		return err
	}
	return z.Close()
}
