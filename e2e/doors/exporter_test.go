package doors

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdk "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// ring is some shards behind a process of the exporter, to which the shard that is embedded pushes.
type ring struct {
	*shard
	shards map[string]*shard // by the name of its hub
	config string
	grpc   string // address
	run    func() // starts the process
	exp    *process.Process
}

// buildExporter builds the program, once.
var buildExporter = sync.OnceValues(func() (string, error) {
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return "", err
	}
	var flags []string
	if raceEnabled {
		flags = []string{"-race"}
	}
	return stack.Build(context.Background(), checkout, filepath.Join(fixture.dir, "exporter"), "./cmd/exporter", flags...)
})

// startRing starts two shards and the exporter, whose config file has more than the hubs.
func startRing(t *testing.T, more string) *ring {
	t.Helper()
	dir, edgehub := programs(t)
	program, err := buildExporter()
	require.NoError(t, err)
	st, err := stack.Start(t.Context(), stack.Config{
		Programs: dir, EdgeHub: edgehub, Dir: t.TempDir(), Shards: 2, HubLogs: true, Protobuf: true, HubArgs: []string{"--no-gateway.first-samples"},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	t.Cleanup(func() {
		if t.Failed() {
			st.DumpLogs(t.Output(), loggedBytes)
		}
	})
	web, err := process.FreeAddress()
	require.NoError(t, err)
	calls, err := process.FreeAddress()
	require.NoError(t, err)
	r := &ring{shard: &shard{st, t, &stack.Hub{Name: "exporter", Address: web}, nil}, shards: map[string]*shard{}, grpc: calls}
	r.config = filepath.Join(t.TempDir(), "exporter.yml")
	for _, sh := range st.Shards {
		r.shards[sh.Hub.Name] = &shard{st, t, sh.Hub, promapi.New(sh.Prometheus)}
	}
	r.write(more)
	r.run = func() {
		r.exp, err = st.Run("exporter", program, "--config.file="+r.config, "--web.listen-address="+web, "--grpc.listen-address="+calls)
		require.NoError(t, err)
		require.NoError(t, r.exp.WaitHTTP(t.Context(), r.hub.URL()+"/-/ready"))
	}
	r.run()
	return r
}

// write writes the config file.
func (r *ring) write(more string) {
	r.t.Helper()
	var file strings.Builder
	file.WriteString("hubs:\n")
	for _, sh := range r.Shards {
		fmt.Fprintf(&file, "  - {name: %s, url: %q}\n", sh.Hub.Name, sh.Hub.URL())
	}
	file.WriteString(more)
	require.NoError(r.t, os.WriteFile(r.config, []byte(file.String()), 0o600))
}

// home is the shard that the exporter's status names for a gateway, and other is the other one.
func (r *ring) home(gateway string) (home, other *shard) {
	r.t.Helper()
	resp, err := http.Get(r.hub.URL() + "/?" + url.Values{"format": {"json"}, "gateway": {gateway}}.Encode())
	require.NoError(r.t, err)
	defer resp.Body.Close()
	var status struct{ Gateway struct{ Owner string } }
	require.NoError(r.t, json.NewDecoder(resp.Body).Decode(&status))
	for name, s := range r.shards {
		if name == status.Gateway.Owner {
			home = s
		} else {
			other = s
		}
	}
	require.NotNil(r.t, home, "%s", status.Gateway.Owner)
	return home, other
}

// message is one of protobuf: numbers of fields, each with its bytes or text.
func message(fields ...any) (all []byte) {
	for i := 0; i < len(fields); i += 2 {
		all = protowire.AppendTag(all, protowire.Number(fields[i].(int)), protowire.BytesType)
		switch value := fields[i+1].(type) {
		case string:
			all = protowire.AppendString(all, value)
		case []byte:
			all = protowire.AppendBytes(all, value)
		}
	}
	return all
}

// call calls a method with a message, as Magma does.
func (c caller) call(ctx context.Context, method string, request []byte) error {
	var raw emptypb.Empty
	raw.ProtoReflect().SetUnknown(request)
	return c.conn.Invoke(ctx, method, &raw, new(emptypb.Empty), grpc.WaitForReady(true))
}

// submission is what metricsd submits: each family and whose it is.
func submission(t *testing.T, gateway string, families []*dto.MetricFamily) (request []byte) {
	t.Helper()
	for _, f := range families {
		request = append(request, message(1, message(1, marshaled(t, f), 2, message(1, f.GetName(), 3, message(1, "net1", 2, gateway))))...)
	}
	return request
}

// collection is what a gateway sends to metricsd.
func collection(t *testing.T, gateway string, families []*dto.MetricFamily) []byte {
	t.Helper()
	request := message(1, gateway)
	for _, f := range families {
		request = append(request, message(2, marshaled(t, f))...)
	}
	return request
}

func marshaled(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// What Magma's services call the exporter with keeps its kinds and the gateways' own times, and is at each gateway's home alone.
func TestExporterInPlaceOfMagmas(t *testing.T) {
	t.Parallel()
	r := startRing(t, "")
	c := dial(t, r.grpc)
	at := time.Now().Add(-20 * time.Second).Truncate(time.Second)
	const each = 4
	want := map[*shard]map[string]float64{}
	for _, s := range r.shards {
		want[s] = map[string]float64{}
	}
	used := map[*shard]bool{}
	for i := range each {
		for _, m := range []struct {
			name, method, labels string
			request              func(t *testing.T, gateway string, families []*dto.MetricFamily) []byte
		}{
			{"submitted", "/magma.orc8r.metricsd.MetricsExporter/Submit", `,networkID="net1"`, submission},
			{"older", "/magma.orc8r.MetricsExporter/Submit", `,networkID="net1"`, submission},
			{"collected", "/magma.orc8r.MetricsController/Collect", ``, collection},
		} {
			gateway := fmt.Sprintf("%s-%d", m.name, i)
			require.NoError(t, c.call(t.Context(), m.method, m.request(t, gateway, oneOfEach(gateway, at))))
			home, other := r.home(gateway)
			used[home] = true
			of := fmt.Sprintf("gatewayID=%q%s", gateway, m.labels)
			maps.Copy(want[home], map[string]float64{
				`last_over_time(pushed_total{` + of + `}[5m])`:                     7,
				`last_over_time(pushed{` + of + `}[5m])`:                           -1.5,
				`last_over_time(pushed_seconds_bucket{le="0.5",` + of + `}[5m])`:   1,
				`last_over_time(pushed_seconds_bucket{le="2.0",` + of + `}[5m])`:   2,
				`last_over_time(pushed_seconds_bucket{le="+Inf",` + of + `}[5m])`:  3,
				`last_over_time(pushed_seconds_sum{` + of + `}[5m])`:               4.5,
				`last_over_time(pushed_seconds_count{` + of + `}[5m])`:             3,
				`last_over_time(pushed_quantiles{quantile="0.5",` + of + `}[5m])`:  1.25,
				`last_over_time(pushed_quantiles_count{` + of + `}[5m])`:           5,
				`last_over_time(timestamp(pushed_total{` + of + `})[5m:1s])`:       float64(at.Unix()),
				`last_over_time(timestamp(pushed_seconds_sum{` + of + `})[5m:1s])`: float64(at.Unix()),
				fmt.Sprintf(`count(last_over_time({gatewayID=%q}[5m]))`, gateway):  3 + 5 + 3,
			})
			want[other][fmt.Sprintf(`absent(last_over_time({gatewayID=%q}[5m]))`, gateway)] = 1
		}
		gateway := fmt.Sprintf("pushed-%d", i)
		metric := message(1, "pushed_by_rest", 4, message(1, "gatewayID", 2, gateway))
		metric = protowire.AppendFixed64(protowire.AppendTag(metric, 2, protowire.Fixed64Type), 0x4004000000000000)
		metric = protowire.AppendVarint(protowire.AppendTag(metric, 3, protowire.VarintType), uint64(at.UnixMilli()))
		require.NoError(t, c.call(t.Context(), "/magma.orc8r.MetricsController/Push", message(1, "net1", 2, metric)))
		home, _ := r.home(gateway)
		maps.Copy(want[home], map[string]float64{
			fmt.Sprintf(`last_over_time(pushed_by_rest{gatewayID=%q,networkID="net1"}[5m])`, gateway): 2.5,
			fmt.Sprintf(`last_over_time(timestamp(pushed_by_rest{gatewayID=%q})[5m:1s])`, gateway):    float64(at.Unix()),
		})
	}
	require.Len(t, used, 2)
	for home, queries := range want {
		home.has(queries)
		home.hasTypes(map[string]string{"pushed_total": "counter", "pushed": "gauge", "pushed_seconds": "histogram", "pushed_quantiles": "summary"})
	}
}

// A Prometheus in agent mode, the Go SDK of OpenTelemetry and client_golang push to the exporter as to a hub.
func TestExporterTakesWhatHubsTake(t *testing.T) {
	t.Parallel()
	r := startRing(t, "otlp: {promote_resource_attributes: [host.name]}\n")
	targets := map[string]*target{}
	for gateway, protocol := range map[string]string{"one": "prometheus.WriteRequest", "two": "io.prometheus.write.v2.Request"} {
		targets[gateway] = startTarget(t, `"le.gal"`)
		r.agent(gateway, protocol, targets[gateway])
	}

	reader := sdk.NewPeriodicReader(otlpExporter(t, r.shard), sdk.WithInterval(time.Hour))
	provider := sdk.NewMeterProvider(sdk.WithReader(reader), sdk.WithResource(resource.NewSchemaless(attribute.String("gatewayID", "otel"), attribute.String("host.name", "h"))))
	requests, err := provider.Meter("doors").Int64Counter("http.requests")
	require.NoError(t, err)
	requests.Add(t.Context(), 3)
	require.NoError(t, provider.ForceFlush(t.Context()))

	rows := prometheus.NewCounter(prometheus.CounterOpts{Name: "backup_rows_total", Help: "Rows."})
	rows.Add(42)
	for _, gateway := range []string{"batch-0", "batch-1", "batch-2"} {
		require.NoError(t, push.New(r.hub.URL(), "backup").Grouping("gatewayID", gateway).Collector(rows).PushContext(t.Context()))
		home, other := r.home(gateway)
		of := fmt.Sprintf(`backup_rows_total{job="backup",gatewayID=%q}`, gateway)
		home.has(map[string]float64{of: 42})
		other.has(map[string]float64{"absent(" + of + ")": 1})
		home.hasTypes(map[string]string{"backup_rows_total": "counter"})
	}
	home, _ := r.home("otel")
	home.has(map[string]float64{`http_requests_total{gatewayID="otel",host_name="h"}`: 3})
	home.hasTypes(map[string]string{"http_requests_total": "counter"})

	for gateway, to := range targets {
		home, _ := r.home(gateway)
		of := fmt.Sprintf("{gatewayID=%q,job=\"own\",instance=%q}", gateway, to.address())
		home.has(map[string]float64{"sum(count_over_time(timed_total" + of + "[10m])) >= bool 3": 1})
		to.Close() // scrapes that are under way end before
		home.arrived(to, "timed_total"+of, 0)
		home.hasTypes(map[string]string{"scraped_total": "counter"})
	}
}

// pushing pushes numbered samples of some gateways until stop is called, each again until it is taken, by gRPC and as text.
type pushing struct {
	r      *ring
	mu     sync.Mutex
	taken  map[string][]int64 // the times of a gateway's values, which are 1, 2, 3…
	cancel func()
	all    sync.WaitGroup
}

func (r *ring) pushOn(gateways int) *pushing {
	stop, cancel := context.WithCancel(r.t.Context())
	p := &pushing{r: r, taken: map[string][]int64{}, cancel: cancel}
	c := dial(r.t, r.grpc)
	for i := range gateways {
		gateway := fmt.Sprintf("gw-%d", i)
		p.all.Go(func() {
			last := int64(0)
			for n := 1; stop.Err() == nil; n++ {
				ms := max(time.Now().UnixMilli(), last+1)
				last = ms
				families := []*dto.MetricFamily{family("counted_total", dto.MetricType_COUNTER, oneMetric(gateway, ms, &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(float64(n))}}))}
				err := process.Until(r.t.Context(), func() error {
					if i%2 == 0 {
						ctx, cancel := context.WithTimeout(r.t.Context(), 2*time.Second)
						defer cancel()
						return c.call(ctx, "/magma.orc8r.MetricsController/Collect", collection(r.t, gateway, families))
					}
					return r.post(fmt.Sprintf("# TYPE counted_total counter\ncounted_total{gatewayID=%q} %d %d\n", gateway, n, ms))
				})
				if err != nil {
					return // the test ends
				}
				p.mu.Lock()
				p.taken[gateway] = append(p.taken[gateway], ms)
				p.mu.Unlock()
				select {
				case <-time.After(20 * time.Millisecond): // a gateway's interval
				case <-stop.Done():
				}
			}
		})
	}
	return p
}

func (r *ring) post(text string) error {
	resp, err := http.Post(r.hub.URL()+"/metrics", "text/plain", strings.NewReader(text))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return errors.Join(err, resp.Body.Close())
}

// samples is how many were taken so far.
func (p *pushing) samples() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, times := range p.taken {
		n += len(times)
	}
	return n
}

// more waits until so many more were taken.
func (p *pushing) more(n int) {
	p.r.t.Helper()
	from := p.samples()
	p.r.eventually(func(context.Context) error {
		if now := p.samples(); now < from+n {
			return fmt.Errorf("%d more were taken", now-from)
		}
		return nil
	})
}

// stop ends the pushes, and waits until the servers together have each sample, with its value and once at a time.
func (p *pushing) stop() {
	t := p.r.t
	t.Helper()
	p.cancel()
	p.all.Wait()
	p.r.eventually(func(ctx context.Context) error {
		have := map[string]map[int64]float64{}
		for _, s := range p.r.shards {
			m, err := s.server.Matrix(ctx, "counted_total[10m]")
			if err != nil {
				return err
			}
			for _, series := range m {
				gateway := string(series.Metric["gatewayID"])
				if have[gateway] == nil {
					have[gateway] = map[int64]float64{}
				}
				for _, v := range series.Values {
					if other, twice := have[gateway][int64(v.Timestamp)]; twice && other != float64(v.Value) {
						return fmt.Errorf("%s at %d is %v and %v", gateway, v.Timestamp, other, v.Value)
					}
					have[gateway][int64(v.Timestamp)] = float64(v.Value)
				}
			}
		}
		for gateway, times := range p.taken {
			for i, ms := range times {
				if got, ok := have[gateway][ms]; !ok || got != float64(i+1) {
					return fmt.Errorf("%s: value %d of %d is %v", gateway, i+1, len(times), got)
				}
			}
			if len(have[gateway]) != len(times) {
				return fmt.Errorf("%s has %d values, %d were pushed", gateway, len(have[gateway]), len(times))
			}
		}
		return nil
	})
	require.Positive(t, p.samples())
	t.Logf("%d samples were taken, and are there once", p.samples())
}

// Nothing is lost, and nothing there twice, when a hub is killed for some seconds, and when the config file changes, while pushes go on.
func TestExporterOutlivesAHub(t *testing.T) {
	t.Parallel()
	r := startRing(t, "")
	p := r.pushOn(8)
	p.more(100)
	hub := r.Shards[0].Hub
	hub.Kill()
	p.more(800)
	require.NoError(t, hub.Restart(t.Context()))
	p.more(100)
	for i, more := range []string{"send: {batch_wait: 50ms}\n", "labels: {}\nqueue: {max_bytes: 50000000}\n"} {
		r.write(more)
		require.NoError(t, syscall.Kill(r.exp.PID(), syscall.SIGHUP))
		r.reloaded(i + 1)
		p.more(100)
	}
	r.write("hubs: nowhere\n")
	require.NoError(t, syscall.Kill(r.exp.PID(), syscall.SIGHUP))
	r.eventually(func(ctx context.Context) error {
		if n, err := own(ctx, r.hub.URL()+"/metrics", `hubring_exporter_config_last_reload_successful`); err != nil || n != 0 {
			return fmt.Errorf("the wrong file was read: %v %w", n, err)
		}
		return nil
	})
	p.more(50)
	p.stop()
	require.NoError(t, r.exp.Stop(patience))
}

// reloaded waits until the file was read again so many times.
func (r *ring) reloaded(n int) {
	r.t.Helper()
	r.eventually(func(ctx context.Context) error {
		resp, err := http.Get(r.hub.URL() + "/metrics")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		var text bytes.Buffer
		if _, err := text.ReadFrom(resp.Body); err != nil {
			return err
		}
		if want := fmt.Sprintf("\nhubring_exporter_config_reloads_total{result=\"success\"} %d\n", n); !strings.Contains(text.String(), want) {
			return fmt.Errorf("there is no%s", want)
		}
		return ctx.Err()
	})
}

// With all on disk nothing that was acknowledged is lost when the exporter is killed, though no hub is there then.
func TestExporterIsKilled(t *testing.T) {
	t.Parallel()
	spool := fmt.Sprintf("spool: {dir: %q, policy: all}\n", t.TempDir())
	r := startRing(t, spool)
	p := r.pushOn(8)
	p.more(50)
	for _, sh := range r.Shards {
		sh.Hub.Kill()
	}
	p.more(100)
	r.exp.Kill()
	r.run()
	p.more(50)
	r.write(spool + "send: {batch_wait: 50ms, flush_timeout: 1s}\n")
	require.NoError(t, syscall.Kill(r.exp.PID(), syscall.SIGHUP))
	p.more(50)
	for _, sh := range r.Shards {
		require.NoError(t, sh.Hub.Restart(t.Context()))
	}
	r.reloaded(1)
	r.exp.Kill()
	r.run()
	p.more(50)
	p.stop()
}
