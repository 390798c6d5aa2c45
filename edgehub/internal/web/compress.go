package web

import (
	"io"
	"net/http"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/hubring/hubring/internal/exposition"
)

// zstdWindow is how far back a response refers. Prometheus takes 8 MiB; less bounds what each
// encoder holds, and what repeats is near.
const zstdWindow = 1 << 20

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
			zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(zstdWindow), zstd.WithEncoderCRC(false))
		if err != nil {
			panic("BUG: zstd options: " + err.Error())
		}
		return z
	}}
)

// codingOf is the coding that a request likes best, empty for none. Who likes two as much gets
// zstd for protobuf, where it costs the same as gzip and is half as large, and gzip for text,
// where it costs both ends a fifth less.
func codingOf(accepted http.Header, protobuf bool) string {
	switch gzip, zstd := exposition.LikedCodings(accepted); {
	case zstd > gzip, zstd > 0 && zstd == gzip && protobuf:
		return "zstd"
	case gzip > 0:
		return "gzip"
	}
	return ""
}

// compressed has a response written in a coding.
func compressed(coding string, w http.ResponseWriter, write func(io.Writer) error) error {
	switch coding {
	case "zstd":
		return through(&zstds, w, write)
	case "gzip":
		return through(&gzips, w, write)
	}
	return write(w)
}

func through(pool *sync.Pool, w http.ResponseWriter, write func(io.Writer) error) error {
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
