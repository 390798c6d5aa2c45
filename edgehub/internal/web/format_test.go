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

	"github.com/hubring/hubring/edgehub/internal/groups"
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
			r := httptest.NewRequest(http.MethodHead, "/metrics", nil)
			r.Header = http.Header{"Accept": {accept}, "Accept-Encoding": {acceptEncoding}}
			head := httptest.NewRecorder()
			d.handler.ServeHTTP(head, r)
			assert.Equal(t, coding, head.Header().Get("Content-Encoding"), "HEAD %q", acceptEncoding)
			in, err := read[coding](w.Body)
			require.NoError(t, err)
			body, err := io.ReadAll(in)
			require.NoError(t, err)
			assert.Equal(t, plain, body, acceptEncoding)
		}
	}
	for _, accept := range []string{likesText, onlyOpenMetrics, exposition.ProtobufContentType} {
		f(accept, "gzip", "gzip")
		f(accept, "zstd", "zstd")
		f(accept, "identity", "")
		f(accept, "br", "")
		f(accept, "zstd;q=0.1,gzip", "gzip")
		f(accept, "zstd,gzip;q=0.9", "zstd")
		f(accept, "gzip;q=0.5,identity", "")
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

const (
	likesOpenMetrics = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,application/openmetrics-text;version=0.0.1;q=0.6," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
	onlyOpenMetrics = "application/openmetrics-text;version=1.0.0;q=0.7,*/*;q=0.6"
	onlyTheDraft    = "application/openmetrics-text;version=2.0.0;q=0.7,*/*;q=0.6"
)

// Who likes OpenMetrics best gets it, with its end; a Prometheus only where it names no text, and an old one never. HEAD gets the same.
func TestWhoGetsOpenMetrics(t *testing.T) {
	const (
		text1 = "text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8"
		first = "application/openmetrics-text; version=1.0.0; charset=utf-8"
		utf8  = first + "; escaping=allow-utf-8"
	)
	f := func(want, accept string, headers ...string) {
		t.Helper()
		d := newDoors(t)
		d.push("# TYPE x counter\n" + at("x", time.Now()))
		headers = append(headers, "Accept", accept)
		r := httptest.NewRequest(http.MethodHead, "/metrics", nil)
		for i := 0; i < len(headers); i += 2 {
			r.Header.Set(headers[i], headers[i+1])
		}
		head := httptest.NewRecorder()
		d.handler.ServeHTTP(head, r)
		assert.Equal(t, want, head.Header().Get("Content-Type"), "HEAD %q", headers)
		w := d.get("/metrics", headers...)
		require.Equal(t, http.StatusOK, w.Code)
		assert.Equal(t, want, w.Header().Get("Content-Type"), "%q", headers)
		assert.Equal(t, strings.HasPrefix(want, "application/openmetrics-text"), strings.HasSuffix(w.Body.String(), "\n# EOF\n"))
	}
	f(utf8, likesOpenMetrics)
	f(first, onlyOpenMetrics)
	f(first, onlyOpenMetrics, timeoutHeader, "10", "User-Agent", "Prometheus/3.15.0")
	f(text1, likesOpenMetrics, timeoutHeader, "10", "User-Agent", "Prometheus/3.15.0")
	f(exposition.ContentType, onlyOpenMetrics, timeoutHeader, "10", "User-Agent", "Prometheus/2.55.1")
	f(text1, "application/openmetrics-text;version=1.0.0;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5")
	f(exposition.ContentType, "*/*")
	f(exposition.ContentType, onlyTheDraft)
	f(exposition.ProtobufContentType, "application/openmetrics-text;version=1.0.0;q=0.8,"+likesProtobuf, timeoutHeader, "10")
}

// Groups come before the end.
func TestOpenMetricsOfGroups(t *testing.T) {
	now := time.Now()
	set := groups.New(groups.Config{Limits: groups.Limits{Groups: 10, Series: 10, Bytes: 1 << 20, SeriesBytes: 1 << 10, Labels: 10}})
	families, refused := set.Decode("", []byte("# TYPE n_total counter\nn_total 1\n# TYPE s summary\ns{quantile=\"1\"} 2\ns_sum 3\ns_count 4\n"))
	require.Nil(t, refused)
	require.NoError(t, set.Push(groups.Push{Labels: groups.Labels{{Name: "job", Value: "j"}}, Families: families}, now))
	d := newDoors(t)
	d.cfg.Groups = set
	d.push(at("g", now))
	body := d.get("/metrics", "Accept", onlyOpenMetrics, timeoutHeader, "10").Body.String()
	assert.Contains(t, body, "\n# TYPE n counter\nn_total{instance=\"\",job=\"j\"} 1\n")
	assert.Contains(t, body, "\n# TYPE s summary\ns{instance=\"\",job=\"j\",quantile=\"1.0\"} 2\ns_sum{instance=\"\",job=\"j\"} 3\ns_count{instance=\"\",job=\"j\"} 4\n")
	assert.True(t, strings.HasSuffix(body, "\n# EOF\n"))
}

// Version 2.0 is for hubs that are told so. It says the type of every counter.
func TestOpenMetrics2(t *testing.T) {
	d := newDoors(t)
	d.cfg.OpenMetrics2 = true
	d.push("# TYPE y counter\n" + at("y", time.Now()))
	w := d.get("/metrics", "Accept", "application/openmetrics-text;version=2.0.0;q=0.8,"+likesOpenMetrics, timeoutHeader, "10")
	assert.Equal(t, "application/openmetrics-text; version=2.0.0; charset=utf-8; escaping=allow-utf-8", w.Header().Get("Content-Type"))
	assert.Regexp(t, "^# TYPE y counter\ny 1 [0-9.]+\n# EOF\n$", w.Body.String())
}

// The bound in bytes is one of OpenMetrics where that is what is written.
func TestOpenMetricsIsBoundedInBytes(t *testing.T) {
	d := newDoors(t)
	d.push(manyLines(`x{path="`+strings.Repeat("a", 100)+`"}`, 10_000))
	got := 0
	for range 100 {
		w := d.get("/metrics?max-bytes=200000&drain=1", timeoutHeader, "10", "Accept", onlyOpenMetrics)
		require.Equal(t, http.StatusOK, w.Code)
		n := strings.Count(w.Body.String(), "\n") - 1
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
