package doors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/hubring/hubring/e2e/internal/process"
	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
)

var grpcListening = regexp.MustCompile(`msg="Listening on" door=grpc address=([0-9.]+:[0-9]+)`)

// caller pushes by gRPC as the users of prometheus-edge-hub do, who have its generated client: one connection without TLS.
type caller struct{ conn *grpc.ClientConn }

func dial(t *testing.T, address string) caller {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return caller{conn}
}

// collect pushes families. Its error has a status.
func (c caller) collect(ctx context.Context, families []*dto.MetricFamily, options ...grpc.CallOption) error {
	var request emptypb.Empty // whose unknown fields are those of MetricFamilies
	var fields []byte
	for _, f := range families {
		message, err := proto.Marshal(f)
		if err != nil {
			return err
		}
		fields = append(fields, 1<<3|2)
		fields = appendLength(fields, len(message))
		fields = append(fields, message...)
	}
	request.ProtoReflect().SetUnknown(fields)
	return c.conn.Invoke(ctx, "/grpc.MetricsController/Collect", &request, new(emptypb.Empty), append(options, grpc.WaitForReady(true))...)
}

func appendLength(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// metric is one of a family, of a gateway and with a time.
func oneMetric(gateway string, ms int64, m *dto.Metric) *dto.Metric {
	m.Label = []*dto.LabelPair{{Name: proto.String("gatewayID"), Value: &gateway}}
	m.TimestampMs = &ms
	return m
}

func family(name string, kind dto.MetricType, metrics ...*dto.Metric) *dto.MetricFamily {
	return &dto.MetricFamily{Name: &name, Help: proto.String("Of " + name + "."), Type: &kind, Metric: metrics}
}

// one of each kind, at some time.
func oneOfEach(gateway string, at time.Time) []*dto.MetricFamily {
	ms := at.UnixMilli()
	return []*dto.MetricFamily{
		family("pushed_total", dto.MetricType_COUNTER, oneMetric(gateway, ms, &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(7)}})),
		family("pushed", dto.MetricType_GAUGE, oneMetric(gateway, ms, &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(-1.5)}})),
		family("pushed_untyped", dto.MetricType_UNTYPED, oneMetric(gateway, ms, &dto.Metric{Untyped: &dto.Untyped{Value: proto.Float64(3)}})),
		family("pushed_seconds", dto.MetricType_HISTOGRAM, oneMetric(gateway, ms, &dto.Metric{Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(3), SampleSum: proto.Float64(4.5), Bucket: []*dto.Bucket{
				{UpperBound: proto.Float64(0.5), CumulativeCount: proto.Uint64(1)}, {UpperBound: proto.Float64(2), CumulativeCount: proto.Uint64(2)},
			},
		}})),
		family("pushed_quantiles", dto.MetricType_SUMMARY, oneMetric(gateway, ms, &dto.Metric{Summary: &dto.Summary{
			SampleCount: proto.Uint64(5), SampleSum: proto.Float64(6), Quantile: []*dto.Quantile{{Quantile: proto.Float64(0.5), Value: proto.Float64(1.25)}},
		}})),
	}
}

// grpcAddress is where a hub that was started with --grpc.listen-address=:0 serves.
func (s *shard) grpcAddress() string {
	s.t.Helper()
	match, err := s.hub.Process.WaitLog(s.t.Context(), grpcListening)
	require.NoError(s.t, err)
	return match[1]
}

// What is pushed by gRPC is in the server with the sender's times and types, also what was refused meanwhile and repeated.
func TestGRPC(t *testing.T) {
	t.Parallel()
	s := start(t, "--grpc.listen-address=127.0.0.1:0", "--limit.samples=300", "--no-gateway.first-samples")
	c := dial(t, s.grpcAddress())
	at := time.Now().Add(-20 * time.Second).Truncate(time.Second)
	require.NoError(t, c.collect(t.Context(), oneOfEach("gw1", at), grpc.UseCompressor(gzip.Name)))
	const of = `{gatewayID="gw1"}[5m])`
	when := float64(at.Unix())
	s.has(map[string]float64{
		`last_over_time(pushed_total` + of:                     7,
		`last_over_time(pushed` + of:                           -1.5,
		`last_over_time(pushed_untyped` + of:                   3,
		`last_over_time(pushed_seconds_sum` + of:               4.5,
		`last_over_time(pushed_seconds_count` + of:             3,
		`sum(last_over_time(pushed_seconds_bucket` + of + `)`:  1 + 2 + 3,
		`last_over_time(pushed_quantiles{quantile="0.5"}[5m])`: 1.25,
		`max(timestamp(pushed_total{gatewayID="gw1"}))`:        when,
		`max(timestamp(pushed{gatewayID="gw1"}))`:              when,
		`max(timestamp(pushed_seconds_bucket{le="+Inf"}))`:     when,
	})
	for name, kind := range map[string]string{
		"pushed_total": "counter", "pushed": "gauge", "pushed_seconds": "histogram", "pushed_quantiles": "summary",
	} {
		assert.Equal(t, kind, s.kindOf(name), name)
	}

	err := c.collect(t.Context(), []*dto.MetricFamily{family("", dto.MetricType_GAUGE, oneMetric("gw1", at.UnixMilli(), &dto.Metric{Gauge: &dto.Gauge{}}))})
	assert.Equal(t, codes.InvalidArgument, status.Code(err), "%v", err)

	n := s.whileFull(func(ctx context.Context, n int, at time.Time) (taken bool, err error) {
		err = c.collect(ctx, []*dto.MetricFamily{family("counted_total", dto.MetricType_COUNTER, oneMetric("gw1", at.UnixMilli(), &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(float64(n))}}))})
		if status.Code(err) == codes.ResourceExhausted && strings.HasPrefix(status.Convert(err).Message(), "hub_full: ") {
			return false, nil
		}
		return true, err
	})
	s.has(counted(n))
}

// counted is what a server has of n samples of the counter that whileFull had pushed.
func counted(n int) map[string]float64 {
	return map[string]float64{
		`count_over_time(counted_total{gatewayID="gw1"}[10m])`: float64(n),
		`max_over_time(counted_total{gatewayID="gw1"}[10m])`:   float64(n - 1),
	}
}

// whileFull has push called for samples that are numbered from 0, each until it is taken, while the hub is full for a while. It returns
// how many there were.
func (s *shard) whileFull(push func(ctx context.Context, n int, at time.Time) (taken bool, err error)) int {
	s.t.Helper()
	stop, pushed := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { pushed <- n }()
		for at := time.Now(); ; {
			switch taken, err := push(s.t.Context(), n, at); {
			case err != nil:
				s.t.Error(err)
				return
			case taken:
				n++
				select {
				case <-stop:
					return
				default:
				}
			}
			select {
			case <-time.After(5 * time.Millisecond): // the client's interval
			case <-s.t.Context().Done():
				return
			}
			if at = at.Add(time.Millisecond); time.Since(at) > 0 {
				at = time.Now()
			}
		}
	}()
	s.full()
	close(stop)
	n := <-pushed
	require.Positive(s.t, n)
	return n
}

// kindOf is what the server says that a metric is.
func (s *shard) kindOf(name string) (kind string) {
	s.t.Helper()
	s.eventually(func(ctx context.Context) error {
		var all map[string][]struct{ Type string }
		err := s.server.Get(ctx, "/api/v1/metadata", url.Values{"metric": {name}}, &all)
		if err == nil && len(all[name]) == 0 {
			err = fmt.Errorf("nothing is known of %s", name)
		}
		if err == nil {
			kind = all[name][0].Type
		}
		return err
	})
	return kind
}

// startAsTheAncestor starts a hub by a command line of prometheus-edge-hub and nothing else, and a Prometheus that scrapes it as Magma's does.
func startAsTheAncestor(t *testing.T, args ...string) (s *shard, grpcAddress string) {
	t.Helper()
	dir, edgehub := programs(t)
	st, err := stack.Start(t.Context(), stack.Config{Programs: dir, EdgeHub: edgehub, Dir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	t.Cleanup(func() {
		if t.Failed() {
			st.DumpLogs(t.Output(), loggedBytes)
		}
	})
	http, grpc := freePort(t), freePort(t)
	hub := &stack.Hub{Name: "edgehub", Address: "127.0.0.1:" + http}
	hub.Process, err = st.Run("edgehub", edgehub, append(args, "-port", http, "-grpc-port", grpc, "-scrapeTimeout", "10", "-logtostderr")...)
	require.NoError(t, err)
	require.NoError(t, hub.Process.WaitHTTP(t.Context(), hub.URL()+"/")) // Magma's probe
	server, err := st.StartServer(t.Context(), stack.ServerConfig{Name: "prometheus", Config: fmt.Sprintf(`
scrape_configs:
  - job_name: prometheus-cache
    scrape_interval: 1s
    honor_labels: true
    static_configs: [{targets: [%q]}]
`, hub.Address)})
	require.NoError(t, err)
	st.Shards = append(st.Shards, &stack.Shard{Hub: hub, Prometheus: server.Address, Server: server})
	return &shard{st, t, hub, promapi.New(server.Address)}, "127.0.0.1:" + grpc
}

func freePort(t *testing.T) string {
	t.Helper()
	address, err := process.FreeAddress()
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	return port
}

// magmaText is a push of Magma's HTTP exporter: families as text, an empty line behind each.
func magmaText(t *testing.T, families []*dto.MetricFamily) []byte {
	t.Helper()
	var text bytes.Buffer
	for _, f := range families {
		_, err := expfmt.MetricFamilyToText(&text, f)
		require.NoError(t, err)
		text.WriteByte('\n')
	}
	return text.Bytes()
}

// postMagma pushes as it does, to which 200 alone is success.
func postMagma(ctx context.Context, hub string, text []byte) (taken bool, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, hub+"/metrics", bytes.NewReader(text))
	if err != nil {
		return false, err
	}
	r.Header.Set("Content-Type", "text/plain")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}

// A deployment of prometheus-edge-hub that has another image goes on, by text and by gRPC.
func TestInPlaceOfTheAncestor(t *testing.T) {
	t.Parallel()
	s, grpcAddress := startAsTheAncestor(t, "-limit=300")
	at := time.Now().Add(-20 * time.Second).Truncate(time.Second)
	taken, err := postMagma(t.Context(), s.hub.URL(), magmaText(t, oneOfEach("gw1", at)))
	require.NoError(t, err)
	require.True(t, taken)
	require.NoError(t, dial(t, grpcAddress).collect(t.Context(), oneOfEach("gw2", at)))
	want := map[string]float64{}
	for _, gateway := range []string{"gw1", "gw2"} {
		of := `{gatewayID="` + gateway + `"}`
		want[`pushed_total`+of] = 7
		want[`pushed`+of] = -1.5
		want[`pushed_seconds_sum`+of] = 4.5
		want[`timestamp(pushed`+of+`)`] = float64(at.Unix())
	}
	s.has(want)
	n := s.whileFull(func(ctx context.Context, n int, at time.Time) (bool, error) {
		return postMagma(ctx, s.hub.URL(), magmaText(t, []*dto.MetricFamily{
			family("counted_total", dto.MetricType_COUNTER, oneMetric("gw1", at.UnixMilli(), &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(float64(n))}})),
		}))
	})
	s.has(counted(n))
}

// The same pushes to a prometheus-edge-hub and to a hub make the same scrape.
func TestBesideTheAncestor(t *testing.T) {
	t.Parallel()
	s, ours := startAsTheAncestor(t)
	require.NoError(t, s.Shards[0].Server.Stop(patience)) // the test scrapes
	checkout, err := realbin.Checkout(".")
	require.NoError(t, err)
	peers, err := realbin.PeersDir(t.Context(), checkout, os.Stderr)
	require.NoError(t, err)
	port, grpcPort := freePort(t), freePort(t)
	p, err := s.Run("prometheus-edge-hub", filepath.Join(peers, realbin.PrometheusEdgeHub), "-port", port, "-grpc-port", grpcPort)
	require.NoError(t, err)
	theirs := "http://127.0.0.1:" + port
	require.NoError(t, p.WaitHTTP(t.Context(), theirs+"/"))

	at := time.Now().Truncate(time.Second)
	for _, hub := range []struct{ url, grpc string }{{s.hub.URL(), ours}, {theirs, "127.0.0.1:" + grpcPort}} {
		for i, gateway := range []string{"gw1", "gw2"} {
			taken, err := postMagma(t.Context(), hub.url, magmaText(t, oneOfEach(gateway, at.Add(-time.Duration(i)*time.Second))))
			require.NoError(t, err)
			require.True(t, taken)
			require.NoError(t, dial(t, hub.grpc).collect(t.Context(), oneOfEach(gateway, at.Add(-time.Duration(10+i)*time.Second))))
		}
	}
	want := scraped(t, theirs)
	require.Len(t, want, 4+2*2*(3+5+3)) // types, and the samples of each family
	assert.Equal(t, want, scraped(t, s.hub.URL()))
}

// scraped is what a Prometheus gets of a hub by text: types and samples, in the order of their text.
func scraped(t *testing.T, hub string) (lines []string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, hub+"/metrics", nil)
	require.NoError(t, err)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		isOwn := strings.Contains(line, "edgehub_")
		isPlain := strings.HasPrefix(line, "# HELP ") || strings.HasSuffix(line, " untyped\n")
		if !isOwn && !isPlain {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}
