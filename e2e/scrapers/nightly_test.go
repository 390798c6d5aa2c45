package scrapers

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
)

// night tries a row with a scraper that takes many minutes to build, which stores nothing
// and sends what it takes to a sink.
func night(t *testing.T, try func(r *row, programs string, far *sink)) {
	t.Parallel()
	t.Run("unasked", func(t *testing.T) {
		if !*nightly {
			t.Skip("its program takes many minutes to build: .ci/run nightly")
		}
		r := startRow(t, false, nil)
		checkout, err := realbin.Checkout(".")
		require.NoError(t, err)
		dir, err := realbin.ScrapersDir(t.Context(), checkout, os.Stderr)
		require.NoError(t, err)
		try(r, dir, startSink(t))
	})
}

// haltAndStop pushes while a program that start starts is halted, and stopped and started
// again, and settles the account.
func (r *row) haltAndStop(far *sink, start func() *process.Process) {
	r.Helper()
	p := start()
	r.pushFor(3 * time.Second)
	require.NoError(r, p.Suspend(r.Context()))
	r.pushFor(5 * time.Second)
	require.NoError(r, p.Resume())
	r.pushFor(3 * time.Second)
	// Killed, what it has taken and not sent yet would die with it.
	require.NoError(r, p.Stop(patience))
	r.pushFor(3 * time.Second)
	start()
	r.pushFor(3 * time.Second)
	r.settle()
	r.require(far.received)
}

func TestNightlyVMAgent110(t *testing.T) {
	night(t, func(r *row, programs string, far *sink) { vmagent(r, filepath.Join(programs, realbin.VMAgent), far) })
}

func TestNightlyVMAgent151(t *testing.T) {
	night(t, func(r *row, programs string, far *sink) { vmagent(r, filepath.Join(programs, realbin.VMAgent151), far) })
}

// vmagent has more wait for a vmagent than the 16 MiB that it takes at once, before it is
// halted and stopped.
func vmagent(r *row, program string, far *sink) {
	const wide = 250
	r.sender.label = `,wide="` + strings.Repeat("x", wide) + `"`
	for range 20 {
		r.push(100)
	}
	require.Greater(r, len(r.sender.pushed)*wide, 16<<20)
	config := r.file("vmagent.yml", fmt.Sprintf(`global: {scrape_interval: 500ms, scrape_timeout: 500ms}
scrape_configs:
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
    no_stale_markers: true
    static_configs: [{targets: [%q]}]
`, r.hub.Address))
	address, data := freeAddress(r.T), r.TempDir()
	r.haltAndStop(far, func() *process.Process {
		return r.run("vmagent", program, url(address)+"/health",
			"-promscrape.config="+config, "-httpListenAddr="+address,
			"-remoteWrite.url="+far.url+"/write", "-remoteWrite.forcePromProto", "-remoteWrite.flushInterval=200ms",
			"-remoteWrite.tmpDataPath="+data)
	})
}

// The Collector's receiver keeps the first sample of a series of each scrape. It is
// scraped five times as often as gateways report, so that it can catch up.
func TestNightlyOTelCol(t *testing.T) {
	night(t, func(r *row, programs string, far *sink) {
		config := r.file("otelcol.yml", fmt.Sprintf(`receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: edgehub
          honor_labels: true
          honor_timestamps: true
          scrape_interval: 50ms
          scrape_timeout: 50ms
          static_configs: [{targets: [%q]}]
exporters:
  otlp_http: {endpoint: %q, encoding: json, compression: none}
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [prometheus], exporters: [otlp_http]}}
`, r.hub.Address, far.url))
		r.haltAndStop(far, func() *process.Process {
			return r.run("otelcol", filepath.Join(programs, realbin.OTelCol), "", "--config="+config)
		})
		require.Positive(r, r.ownNow("edgehub_scrapes_one_at_a_time_total", nil))
	})
}

// Telegraf has no timeout header, so it takes only what it asks for.
func TestNightlyTelegraf(t *testing.T) {
	night(t, func(r *row, programs string, far *sink) {
		config := r.file("telegraf.conf", fmt.Sprintf(`[agent]
  interval = "500ms"
  flush_interval = "500ms"
  precision = "1ms"
  metric_buffer_limit = 100000
  omit_hostname = true
[[inputs.prometheus]]
  urls = ["%s/metrics?drain=1"]
  metric_version = 2
  url_tag = ""
[[outputs.http]]
  url = "%s/telegraf"
  data_format = "json"
  json_timestamp_units = "1ms"
`, r.hub.URL(), far.url))
		r.haltAndStop(far, func() *process.Process {
			return r.run("telegraf", filepath.Join(programs, realbin.Telegraf), "", "--config", config)
		})
	})
}
