package edgehub

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
)

// Requests of 2000 samples of known series, one a series with eight labels, as Prometheus sends them, through the handler and without a network, beside
// the same as text.
//
//	go test ./edgehub -run '^$' -bench BenchmarkRemoteWrite
func BenchmarkRemoteWrite(b *testing.B) {
	const samples = 2000
	var series []sent
	var text []byte
	for n := range samples {
		name := fmt.Sprintf("node_metric_%d_seconds_total", n/40)
		gateway := n % 40 / 8
		series = append(series, sent{value: float64(n) + 0.5, labels: fmt.Sprintf("__name__ %s cluster europe-west-1 cpu %d gatewayID gateway-%04d instance 10.0.%d.1:9100 "+
			"job node-exporter mode idle network one", name, n%8, gateway, gateway)})
		text = append(text, at(fmt.Sprintf("%s{cluster=\"europe-west-1\",cpu=\"%d\",gatewayID=\"gateway-%04d\",instance=\"10.0.%d.1:9100\",job=\"node-exporter\",mode=\"idle\",network=\"one\"}",
			name, n%8, gateway, gateway), float64(n)+0.5, 0)...)
	}
	zipped, err := zstd.NewWriter(nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name, path, contentType, encoding string
		body                              []byte
	}{
		{"text", "/metrics", "", "", text},
		{"1.0", "/api/v1/write", type1, "snappy", snappy.Encode(nil, request1(series...))},
		{"2.0", "/api/v1/write", type2, "snappy", snappy.Encode(nil, request2(series...))},
		{"zstd", "/api/v1/write", type1, "zstd", zipped.EncodeAll(request1(series...), nil)},
	} {
		b.Run("as="+c.name, func(b *testing.B) {
			h := newHub(b, Config{BodyTimeout: time.Minute})
			handler := h.HTTPServer().Handler
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, c.path, bytes.NewReader(c.body))
				r.Header.Set("Content-Type", c.contentType)
				r.Header.Set("Content-Encoding", c.encoding)
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				if w.Code >= http.StatusMultipleChoices {
					b.Fatal(w.Body)
				}
				passAll(h)
			}
			perSample(b, samples)
		})
	}
}
