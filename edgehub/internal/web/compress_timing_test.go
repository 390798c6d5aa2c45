package web

import (
	"fmt"
	"io"
	"math"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// What it takes to compress a sample, by format and coding, by turns; each has the least time
// of all turns, since others may use the machine.
//
//	go test ./edgehub/internal/web -run '^$' -bench .
func BenchmarkCodings(b *testing.B) {
	const gateways, families = 20, 100
	d := newDoors(b)
	var text strings.Builder
	for f := range families {
		for g := range gateways {
			text.WriteString(at(fmt.Sprintf(`gateway_metric_%d{gatewayID="gw%04d",networkID="net1",service="mme"}`, f, g), time.Now()))
		}
	}
	d.push(text.String())
	for _, accept := range []string{likesText, likesProtobuf} {
		body := d.get("/metrics", "Accept", accept, timeoutHeader, "10").Body.Bytes()
		format := map[string]string{likesText: "text", likesProtobuf: "protobuf"}[accept]
		if accept == likesText { // the scraper has taken all
			d.push(text.String())
		}
		b.Run(format, func(b *testing.B) {
			codings := []string{"gzip", "zstd"}
			least := []time.Duration{math.MaxInt64, math.MaxInt64}
			for b.Loop() {
				for i, coding := range codings {
					begin := time.Now()
					err := compressed(coding, httptest.NewRecorder(), func(w io.Writer) error {
						_, err := w.Write(body)
						return err
					})
					if err != nil {
						b.Fatal(err)
					}
					least[i] = min(least[i], time.Since(begin))
				}
			}
			b.ReportMetric(0, "ns/op")
			for i, coding := range codings {
				b.ReportMetric(float64(least[i].Nanoseconds())/gateways/families, coding+"-ns/sample")
			}
		})
	}
}
