package web

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/hubring/hubring/internal/exposition"
)

const (
	likesProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
	likesText = "text/plain;version=0.0.4;q=0.8,application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7"
)

// get sends a GET with pairs of headers.
func (d *doors) get(path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return w
}

// metrics counts those of a body in protobuf.
func metrics(t *testing.T, body []byte) (n int) {
	t.Helper()
	for in := bytes.NewReader(body); in.Len() > 0; {
		f := &dto.MetricFamily{}
		require.NoError(t, protodelim.UnmarshalFrom(in, f))
		n += len(f.GetMetric())
	}
	return n
}

// A Prometheus that likes protobuf gets it. Whoever likes it and would misread it gets text.
func TestWhoGetsProtobuf(t *testing.T) {
	f := func(protobuf bool, headers ...string) {
		t.Helper()
		d := newDoors(t)
		d.push(at("x", time.Now()))
		w := d.get("/metrics", headers...)
		require.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, protobuf, w.Header().Get("Content-Type") == exposition.ProtobufContentType, "%q", headers)
		if protobuf {
			assert.Equal(t, 1, metrics(t, w.Body.Bytes()))
		} else {
			assert.Contains(t, w.Header().Get("Content-Type"), "text/plain")
			assert.Contains(t, w.Body.String(), "x 1 ")
		}
	}
	f(true, timeoutHeader, "10", "Accept", likesProtobuf, "User-Agent", "Prometheus/3.15.0")
	f(true, timeoutHeader, "10", "Accept", likesProtobuf, "User-Agent", "otelcol-contrib/0.165.0 (linux/amd64)")
	f(false, timeoutHeader, "10", "Accept", likesProtobuf, "User-Agent", "Prometheus/2.55.1")
	f(false, timeoutHeader, "10", "Accept", likesText, "User-Agent", "Prometheus/3.15.0")
	f(false, timeoutHeader, "10", "Accept", "*/*")
	f(false, timeoutHeader, "10")
	f(false, "Accept", likesProtobuf, "User-Agent", "Telegraf/1.39.0 Go/1.26.8")
	f(true, "Accept", exposition.ProtobufContentType)
	f(true, "Accept", exposition.ProtobufContentType, "User-Agent", "Prometheus/2.55.1", timeoutHeader, "10")
}

// In each coding a response says the same, and only what is asked for is used.
func TestCodings(t *testing.T) {
	d := newDoors(t)
	d.push(manyLines(`x{path="a"}`, 10_000))
	read := map[string]func(io.Reader) (io.Reader, error){
		"":     func(r io.Reader) (io.Reader, error) { return r, nil },
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"zstd": func(r io.Reader) (io.Reader, error) { return zstd.NewReader(r, zstd.WithDecoderMaxWindow(8<<20)) },
	}
	f := func(accept, acceptEncoding, coding string) {
		t.Helper()
		plain := d.get("/metrics", "Accept", accept).Body.Bytes()
		for range 3 { // the compressors are used again
			w := d.get("/metrics", "Accept", accept, "Accept-Encoding", acceptEncoding)
			assert.Equal(t, coding, w.Header().Get("Content-Encoding"), acceptEncoding)
			in, err := read[coding](w.Body)
			require.NoError(t, err)
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, plain, body, acceptEncoding)
		}
	}
	for _, accept := range []string{likesText, exposition.ProtobufContentType} {
		f(accept, "gzip", "gzip")
		f(accept, "zstd", "zstd")
		f(accept, "identity", "")
		f(accept, "br", "")
		f(accept, "zstd;q=0.1,gzip", "gzip")
	}
	f(likesText, "zstd,gzip", "gzip")
	f(exposition.ProtobufContentType, "zstd,gzip", "zstd")
}

// The bound in bytes is one of protobuf where that is what is written.
func TestProtobufIsBoundedInBytes(t *testing.T) {
	d := newDoors(t)
	d.push(manyLines(`x{path="`+strings.Repeat("a", 100)+`"}`, 10_000))
	got := 0
	for range 100 {
		w := d.get("/metrics?max-bytes=200000&drain=1", timeoutHeader, "10", "Accept", likesProtobuf)
		require.Equal(t, http.StatusOK, w.Code)
		n := metrics(t, w.Body.Bytes())
		if n == 0 {
			break
		}
		assert.LessOrEqual(t, w.Body.Len(), 200_000)
		if got == 0 {
			assert.Greater(t, w.Body.Len(), 100_000)
		}
		got += n
	}
	assert.Equal(t, 10_000, got)
}
