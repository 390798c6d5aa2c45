package exportertest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/hubring/hubring/exporter/exportertest"
)

// What a push of some 3 kB costs, client and hub together.
//
//	go test ./exporter/exportertest -run '^$' -bench Network -cpu 1
func BenchmarkNetwork(b *testing.B) {
	for name, opts := range map[string][]exportertest.Option{
		"recorded": nil,
		"hook":     {exportertest.KeepSamples(0), exportertest.KeepPushes(0)},
	} {
		b.Run(name, func(b *testing.B) {
			pushMany(b, opts)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
		b.Run(name+"/bubble", func(b *testing.B) {
			inBubble(func() { pushMany(b, opts) })
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
		})
	}
}

// inBubble runs f in virtual time, which is for tests only: so it becomes one.
func inBubble(f func()) {
	test := testing.InternalTest{Name: "bubble", F: func(t *testing.T) {
		synctest.Test(t, func(*testing.T) { f() })
	}}
	testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{test})
}

func pushMany(b *testing.B, opts []exportertest.Option) {
	n := exportertest.NewNetwork()
	defer n.Close()
	hub := n.Add("edgehub-0", opts...)
	client := &http.Client{Transport: n.Transport()}
	body := []byte(report("gw-0017", 30))
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for i := range b.N { // b.Loop would ask the bubble's clock
		resp, err := client.Post("http://edgehub-0/metrics", "text/plain", bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if i%1000 == 0 {
			hub.Reset()
		}
	}
}

// report is what a gateway would push: n samples, of which each has about 100 bytes.
func report(gateway string, n int) string {
	var text strings.Builder
	text.WriteString("# TYPE enodeb_rf_tx_enabled gauge\n")
	for i := range n {
		fmt.Fprintf(&text, "enodeb_rf_tx_enabled{gatewayID=%q,networkID=\"network-1\",service=\"enodebd\",cell=\"%d\"} 1 %d\n", gateway, i, 1_700_000_000_000+i)
	}
	return text.String()
}
