package doors

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/realbin"
)

// target is what an agent scrapes. Its counter says how often it was, with a time of the target's own.
type target struct {
	*httptest.Server
	label string // name of one, as it stands in the text
	mu    sync.Mutex
	told  []int64 // the times of the counter's values, which are 1, 2, 3…
}

const fillers = 60 // series more, so that a hub is soon full

func startTarget(t *testing.T, label string) *target {
	to := &target{label: label}
	to.Server = httptest.NewServer(to)
	t.Cleanup(to.Close)
	return to
}

func (to *target) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	to.mu.Lock()
	defer to.mu.Unlock()
	to.told = append(to.told, time.Now().UnixMilli())
	n := len(to.told)
	fmt.Fprintf(w, "# HELP timed_total How often.\n# TYPE timed_total counter\ntimed_total %d %d\n", n, to.told[n-1])
	fmt.Fprintf(w, "# TYPE scraped_total counter\nscraped_total %d\n# TYPE nothing gauge\nnothing 0\n", n)
	for i := range fillers {
		fmt.Fprintf(w, "filler{n=\"%d\",%s=\"ä\\\"\"} %d\n", i, to.label, n)
	}
}

func (to *target) address() string { return strings.TrimPrefix(to.URL, "http://") }

// times are those of the values so far.
func (to *target) times() []int64 {
	to.mu.Lock()
	defer to.mu.Unlock()
	return append([]int64(nil), to.told...)
}

// arrived waits until the server has each value of a target, at its time or at most so long before, and nothing else of it.
func (s *shard) arrived(to *target, selector string, before time.Duration) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		m, err := s.server.Matrix(ctx, selector+"[10m]")
		if err != nil {
			return err
		}
		if len(m) != 1 {
			return fmt.Errorf("%s is %d series", selector, len(m))
		}
		want := to.times()
		for i, v := range m[0].Values {
			if i >= len(want) || v.Value != model.SampleValue(i+1) || v.Timestamp > model.Time(want[i]) || v.Timestamp < model.Time(want[i]).Add(-before) {
				return fmt.Errorf("%s: value %d of %d is %v", selector, i+1, len(want), v)
			}
		}
		if len(m[0].Values) < len(want) {
			return fmt.Errorf("%s: %d of %d values are there", selector, len(m[0].Values), len(want))
		}
		return nil
	})
}

// gone waits until the server has no value of a selector at present, though it had some.
func (s *shard) gone(selector string) {
	s.t.Helper()
	s.has(map[string]float64{"absent(" + selector + ")": 1, "count(present_over_time(" + selector + "[10m]))": 1})
}

// file writes a configuration.
func (s *shard) file(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name)
	require.NoError(s.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// run starts a client, and waits until the path of its own address answers.
func (s *shard) run(name, path, ready string, args ...string) (address string) {
	s.t.Helper()
	address, err := process.FreeAddress()
	require.NoError(s.t, err)
	for i := range args {
		args[i] = strings.ReplaceAll(args[i], "ADDRESS", address)
	}
	p, err := s.Run(name, path, args...)
	require.NoError(s.t, err)
	if ready != "" {
		require.NoError(s.t, p.WaitHTTP(s.t.Context(), "http://"+address+ready))
	}
	return address
}

// own is the sum of a metric that a program says of itself.
func own(ctx context.Context, url, name string) (sum float64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, is := strings.CutPrefix(line, name); is && (rest[0] == ' ' || rest[0] == '{') {
			var v float64
			if _, err := fmt.Sscan(rest[strings.LastIndexByte(rest, ' ')+1:], &v); err != nil {
				return 0, err
			}
			sum += v
		}
	}
	return sum, nil
}

// agent starts a Prometheus in agent mode that scrapes a target and writes to the hub.
func (s *shard) agent(gateway, protobufMessage string, to *target) (address string) {
	s.t.Helper()
	config := s.file("agent.yml", fmt.Sprintf(`global:
  scrape_interval: 1s
  scrape_timeout: 1s
  external_labels: {gatewayID: %q}
scrape_configs:
  - job_name: own
    static_configs: [{targets: [%q]}]
remote_write:
  - url: %s/api/v1/write
    protobuf_message: %s
    metadata_config: {send_interval: 1s}
    queue_config: {max_samples_per_send: 50, batch_send_deadline: 100ms}
`, gateway, to.address(), s.hub.URL(), protobufMessage))
	dir, _ := programs(s.t)
	return s.run("agent-"+gateway, filepath.Join(dir, realbin.Prometheus), "/-/ready",
		"--agent", "--config.file="+config, "--storage.agent.path="+s.t.TempDir(), "--web.listen-address=ADDRESS")
}

// A Prometheus in agent mode writes by 1.0, and another one by 2.0: each sample is in the server with its time, though the hub is full for a while; what
// vanishes at the target ends there; and both sides have counted the same.
func TestRemoteWriteOfPrometheus(t *testing.T) {
	t.Parallel()
	limit := 600
	if *nightly { // what piled up in half a minute comes in pieces of that, five seconds apart
		limit = 2000
	}
	s := start(t, fmt.Sprintf("--limit.samples=%d", limit), "--no-gateway.first-samples")
	targets, agents := map[string]*target{}, map[string]string{}
	for gateway, message := range map[string]string{"one": "prometheus.WriteRequest", "two": "io.prometheus.write.v2.Request"} {
		targets[gateway] = startTarget(t, `"le.gal"`)
		agents[gateway] = s.agent(gateway, message, targets[gateway])
	}
	s.full()
	for gateway, to := range targets {
		selector := fmt.Sprintf("{gatewayID=%q,job=\"own\",instance=%q}", gateway, to.address())
		to.Close() // scrapes that are under way end before
		s.arrived(to, "timed_total"+selector, 0)
		s.gone("scraped_total" + selector)
		n := float64(len(to.times()))
		s.has(map[string]float64{
			"count_over_time(scraped_total" + selector + "[10m])":                                  n,
			"max_over_time(scraped_total" + selector + "[10m])":                                    n,
			"sum_over_time(nothing" + selector + "[10m])":                                          0,
			"sum_over_time(up" + selector + "[10m])":                                               n,
			"up" + selector:                                                                        0,
			fmt.Sprintf(`sum(count_over_time(filler{gatewayID=%q,"le.gal"="ä\""}[10m]))`, gateway): n * fillers,
		})
	}
	s.eventually(func(ctx context.Context) error {
		received, err := own(ctx, s.hub.URL()+"/internal", "edgehub_samples_received_total")
		if err != nil {
			return err
		}
		sent := 0.0
		for _, agent := range agents {
			for name, sign := range map[string]float64{"samples_total": 1, "samples_retried_total": -1} { // the one has the other in it
				n, err := own(ctx, "http://"+agent+"/metrics", "prometheus_remote_storage_"+name)
				if err != nil {
					return err
				}
				sent += sign * n
			}
		}
		if sent != received {
			return fmt.Errorf("%v samples were sent, %v received", sent, received)
		}
		return nil
	})
	for gateway, agent := range agents {
		for _, lost := range []string{"samples_failed_total", "samples_dropped_total", "metadata_failed_total"} {
			n, err := own(t.Context(), "http://"+agent+"/metrics", "prometheus_remote_storage_"+lost)
			require.NoError(t, err)
			require.Zero(t, n, "%s %s", gateway, lost)
		}
		n, err := own(t.Context(), "http://"+agent+"/metrics", "prometheus_remote_storage_samples_retried_total")
		require.NoError(t, err)
		require.Positive(t, n)
	}
	s.eventually(func(ctx context.Context) error { // of 1.0, since 2.0 leaves it out
		var types map[string][]struct{ Type, Help string }
		err := s.server.Get(ctx, "/api/v1/metadata", url.Values{"metric": {"timed_total"}}, &types)
		if all := types["timed_total"]; err == nil && (len(all) != 1 || all[0].Type != "counter" || all[0].Help != "How often.") {
			err = fmt.Errorf("timed_total is %v", all)
		}
		return err
	})
}

// npm's prometheus-remote-write does not say that it packs by snappy, has labels in any order, and is no queue: a program sends what was refused again.
func TestRemoteWriteOfNPM(t *testing.T) {
	t.Parallel()
	s := start(t, "--limit.samples=200", "--no-gateway.first-samples")
	dir := t.TempDir()
	npmClients(t, dir)
	client := exec.CommandContext(t.Context(), "node", filepath.Join(dir, "write.js"), s.hub.URL()+"/api/v1/write")
	var out, complaints strings.Builder
	client.Stdout, client.Stderr = &out, &complaints
	stop, err := client.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, client.Start())
	s.full()
	require.NoError(t, stop.Close())
	require.NoError(t, client.Wait(), "%s", &complaints)
	var said struct {
		Pushes   int
		Statuses map[int]int
		Refusal  string
	}
	require.NoError(t, json.Unmarshal([]byte(out.String()), &said), out.String())
	require.Positive(t, said.Pushes)
	require.Equal(t, said.Pushes+1, said.Statuses[http.StatusNoContent])
	require.Len(t, said.Statuses, 2, "%v", said.Statuses)
	require.Positive(t, said.Statuses[http.StatusServiceUnavailable])
	require.Contains(t, said.Refusal, "is the hub being scraped?")
	n := float64(said.Pushes)
	s.has(map[string]float64{
		`queue_depth{gatewayID="gw"}`: 5,
		`temperature{gatewayID="gw"}`: -1.5,
		`count_over_time(pushed_total{gatewayID="gw",zone="ä \"b\"",empty=""}[10m])`: n,
		`max_over_time(pushed_total{gatewayID="gw"}[10m])`:                           n - 1,
		`count_over_time(pushed_elsewhere_total{gatewayID="other"}[10m])`:            n,
	})
}

// nightlyWriter tries a client that takes long to build, which writes what a target has.
func nightlyWriter(t *testing.T, write func(s *shard, programs string, to *target)) {
	t.Parallel()
	if !*nightly {
		t.Skip("its program takes minutes to build: go test ./e2e/doors -nightly")
	}
	s := start(t, "--limit.samples=600", "--no-gateway.first-samples")
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	dir, err := realbin.ScrapersDir(t.Context(), checkout, os.Stderr)
	require.NoError(t, err)
	to := startTarget(t, "legal")
	write(s, dir, to)
}

// wholeThrough keeps the hub full while a client writes what it scrapes, and waits for each sample. Its time is that of the scrape.
func (s *shard) wholeThrough(to *target) {
	s.t.Helper()
	s.full()
	to.Close()
	s.arrived(to, `scraped_total{job="own"}`, time.Second)
}

func TestRemoteWriteOfVMAgent110(t *testing.T) {
	nightlyWriter(t, func(s *shard, programs string, to *target) {
		s.vmagent(filepath.Join(programs, realbin.VMAgent), to)
	})
}

func TestRemoteWriteOfVMAgent151(t *testing.T) {
	nightlyWriter(t, func(s *shard, programs string, to *target) {
		s.vmagent(filepath.Join(programs, realbin.VMAgent151), to)
	})
}

// vmagent packs by zstd, and never steps back to snappy. A marker of a series with times of its own has one of those, that of the first scrape, and takes the
// place of its sample there, so such a target has no markers.
func (s *shard) vmagent(program string, to *target) {
	s.t.Helper()
	timed := startTarget(s.t, "legal")
	config := s.file("vmagent.yml", fmt.Sprintf(`global: {scrape_interval: 1s, scrape_timeout: 1s}
scrape_configs:
  - job_name: own
    static_configs: [{targets: [%q]}]
  - job_name: timed
    honor_timestamps: true
    no_stale_markers: true
    static_configs: [{targets: [%q]}]
`, to.address(), timed.address()))
	address := s.run("vmagent", program, "/health", "-promscrape.config="+config, "-httpListenAddr=ADDRESS",
		"-remoteWrite.url="+s.hub.URL()+"/api/v1/write", "-remoteWrite.flushInterval=200ms", "-remoteWrite.maxRowsPerBlock=50",
		"-remoteWrite.label=gatewayID=gw", "-remoteWrite.tmpDataPath="+s.t.TempDir())
	s.wholeThrough(to)
	s.gone(`scraped_total{job="own",gatewayID="gw"}`)
	timed.Close()
	s.arrived(timed, `timed_total{job="timed"}`, 0)
	for _, lost := range []string{"vmagent_remotewrite_packets_dropped_total", "vmagent_remotewrite_samples_dropped_total"} {
		n, err := own(s.t.Context(), "http://"+address+"/metrics", lost)
		require.NoError(s.t, err)
		require.Zero(s.t, n, lost)
	}
}

// The Collector does not wait as it is told to, and sends series in random order.
func TestRemoteWriteOfOTelCol(t *testing.T) {
	for name, c := range map[string]struct{ gate, message string }{
		"1.0": {"", ""},
		"2.0": {"--feature-gates=exporter.prometheusremotewritexporter.enableSendingRW2", "protobuf_message: io.prometheus.write.v2.Request"},
	} {
		t.Run(name, func(t *testing.T) {
			nightlyWriter(t, func(s *shard, programs string, to *target) {
				config := s.file("otelcol.yml", fmt.Sprintf(`receivers:
  prometheus:
    config:
      scrape_configs:
        - job_name: own
          scrape_interval: 1s
          scrape_timeout: 1s
          static_configs: [{targets: [%q]}]
exporters:
  prometheusremotewrite:
    endpoint: %s/api/v1/write
    external_labels: {gatewayID: gw}
    max_batch_size_bytes: 4000
    retry_on_failure: {initial_interval: 100ms, max_interval: 1s}
    %s
service:
  telemetry: {metrics: {level: none}}
  pipelines: {metrics: {receivers: [prometheus], exporters: [prometheusremotewrite]}}
`, to.address(), s.hub.URL(), c.message))
				args := []string{"--config=" + config}
				if c.gate != "" {
					args = append(args, c.gate)
				}
				s.run("otelcol", filepath.Join(programs, realbin.OTelCol), "", args...)
				s.wholeThrough(to)
			})
		})
	}
}

// Of what Telegraf could not write it keeps the newest sample of each series, so only the last one is sure to arrive.
func TestRemoteWriteOfTelegraf(t *testing.T) {
	nightlyWriter(t, func(s *shard, programs string, to *target) {
		config := s.file("telegraf.conf", fmt.Sprintf(`[agent]
  interval = "1s"
  flush_interval = "1s"
  precision = "1ms"
  omit_hostname = true
[[inputs.prometheus]]
  urls = [%q]
  metric_version = 2
  url_tag = ""
[[outputs.http]]
  url = "%s/api/v1/write"
  data_format = "prometheusremotewrite"
`, to.URL+"/metrics", s.hub.URL()))
		s.run("telegraf", filepath.Join(programs, realbin.Telegraf), "", "--config", config)
		s.full()
		to.Close()
		s.has(map[string]float64{`max_over_time({__name__=~".*timed_total.*"}[10m])`: float64(len(to.times()))})
	})
}
