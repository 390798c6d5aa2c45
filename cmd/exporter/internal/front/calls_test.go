package front

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/door/collect"
)

// caller calls a Front by gRPC, which is HTTP/2 with a prefix and trailers.
type caller struct {
	*place
	address string
	client  *http.Client
}

func (p *place) caller() *caller {
	p.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(p.t, err)
	server, ended := p.CallServer(), make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	p.t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(p.t, server.Close())
		require.ErrorIs(p.t, <-ended, http.ErrServerClosed)
	})
	return &caller{p, "http://" + l.Addr().String(), &http.Client{Transport: transport}}
}

// call calls a method, and returns the status and its message.
func (c *caller) call(method string, request []byte) (code, message string) {
	c.t.Helper()
	n := len(request)
	framed := append([]byte{0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}, request...)
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.address+method, bytes.NewReader(framed))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/grpc")
	resp, err := c.client.Do(r)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(c.t, err)
	return resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
}

func (c *caller) called(method string, request []byte) {
	c.t.Helper()
	code, message := c.call(method, request)
	require.Equal(c.t, "0", code, message)
}

// message is one of fields, each a number and its bytes or text.
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

// at is the time of samples, in ms.
var at = time.Now().Add(-10 * time.Second).UnixMilli()

func familyOf(t *testing.T, name string, kind dto.MetricType, m *dto.Metric) []byte {
	t.Helper()
	family, err := proto.Marshal(&dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{m}})
	require.NoError(t, err)
	return family
}

func counterOf(t *testing.T, name string, labels ...string) []byte {
	t.Helper()
	m := &dto.Metric{Counter: &dto.Counter{Value: proto.Float64(7)}, TimestampMs: &at}
	for i := 0; i < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	return familyOf(t, name, dto.MetricType_COUNTER, m)
}

// homeIs says whether a hub is the home of a key.
func (p *place) homeIs(key string, hub int) {
	p.t.Helper()
	home, ok := p.running.exporter.Home(key)
	require.True(p.t, ok)
	assert.Equal(p.t, home.URL, p.urls[hub], key)
}

// What each method says of where a metric comes from is in its labels, and a gateway's metrics are at its home.
func TestCallsGoHome(t *testing.T) {
	p := open(t, 3, "")
	c := p.caller()
	for i := range 10 {
		gateway, network := fmt.Sprintf("gw-%d", i), fmt.Sprintf("net-%d", i)
		c.called(collect.EdgeHub, message(1, counterOf(t, "of_edge_hub", "gatewayID", gateway)))
		c.called(collect.MagmaCollect, message(1, gateway, 2, counterOf(t, "collected"), 2, counterOf(t, "overridden", "gatewayID", "liar", "a", "b")))
		for method, name := range map[string]string{collect.MagmaSubmit: "submitted", collect.MagmaSubmitV0: "submitted_v0"} {
			c.called(method, message(
				1, message(1, counterOf(t, name), 2, message(1, name, 3, message(1, network, 2, gateway))),
				1, message(1, counterOf(t, name+"_cloud", "n", gateway), 2, message(2, message(1, "host-"+gateway))),
				1, message(1, counterOf(t, name+"_pushed", "gatewayID", gateway), 2, message(4, message(1, network))),
				1, message(1, counterOf(t, name+"_bare", "n", gateway)),
			))
		}
		metric := protowire.AppendFixed64(protowire.AppendTag(message(1, "pushed_gauge"), 2, protowire.Fixed64Type), 0x3ff8000000000000)
		metric = append(metric, message(4, message(1, "gatewayID", 2, gateway))...)
		c.called(collect.MagmaPush, message(1, network, 2, metric))
	}
	p.flush()
	have := p.have()
	used := map[int]bool{}
	for i := range 10 {
		gateway, network := fmt.Sprintf("gw-%d", i), fmt.Sprintf("net-%d", i)
		for _, series := range []string{
			`of_edge_hub{gatewayID="%[1]s"}`, `collected{gatewayID="%[1]s"}`, `overridden{a="b",gatewayID="%[1]s"}`,
			`submitted{gatewayID="%[1]s",networkID="%[2]s"}`, `submitted_v0{gatewayID="%[1]s",networkID="%[2]s"}`,
			`submitted_pushed{gatewayID="%[1]s",networkID="%[2]s"}`, `pushed_gauge{gatewayID="%[1]s",networkID="%[2]s"}`,
		} {
			series = fmt.Sprintf(series, gateway, network)
			at, ok := have[series]
			require.True(t, ok, series)
			p.homeIs(gateway, at)
			used[at] = true
		}
		for _, series := range []string{`submitted_cloud{cloudHost="host-%[1]s",n="%[1]s"}`, `submitted_bare{n="%[1]s"}`} {
			at, ok := have[fmt.Sprintf(series, gateway)]
			require.True(t, ok, series)
			p.homeIs("", at)
		}
	}
	assert.Len(t, used, 3)
	assert.InDelta(t, 50, testutil.ToFloat64(p.counts.pushes.WithLabelValues(doorGRPC)), 0)
	assert.InDelta(t, 10*(1+2+4+4+1), testutil.ToFloat64(p.counts.samples.WithLabelValues(doorGRPC)), 0)
}

// A histogram of a gateway is whole, a counter a counter, and their time is the gateway's.
func TestCallsKeepKinds(t *testing.T) {
	p := open(t, 1, "")
	c := p.caller()
	c.called(collect.MagmaSubmit, message(
		1, message(1, familyOf(t, "seconds", dto.MetricType_HISTOGRAM, &dto.Metric{TimestampMs: &at, Histogram: &dto.Histogram{
			SampleCount: proto.Uint64(3), SampleSum: proto.Float64(4.5), Bucket: []*dto.Bucket{{UpperBound: proto.Float64(1), CumulativeCount: proto.Uint64(2)}},
		}}), 2, message(3, message(2, "gw"))),
		1, message(1, counterOf(t, "rows"), 2, message(3, message(2, "gw"))),
	))
	p.flush()
	p.gives("# TYPE seconds histogram", `seconds_bucket{gatewayID="gw",le="1"} 2 AT`, `seconds_bucket{gatewayID="gw",le="+Inf"} 3 AT`,
		`seconds_sum{gatewayID="gw"} 4.5 AT`, `seconds_count{gatewayID="gw"} 3 AT`, "# TYPE rows counter", `rows{gatewayID="gw"} 7 AT`)
}

// gives looks for lines in what the first hub gives, with AT for the time.
func (p *place) gives(lines ...string) {
	p.t.Helper()
	text := p.scraped(0)
	for _, line := range lines {
		assert.Contains(p.t, "\n"+text, "\n"+strings.ReplaceAll(line, "AT", strconv.FormatInt(at, 10))+"\n")
	}
}

// scraped is what a hub gives by text.
func (p *place) scraped(hub int) string {
	p.t.Helper()
	resp, err := http.Get(p.urls[hub] + "/metrics")
	require.NoError(p.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	return string(text)
}

func TestCallsAreRefused(t *testing.T) {
	p := &place{t: t}
	p.openOn("http://"+unused(t), "limits: {body_bytes: 2000, samples: 10}\nqueue: {max_bytes: 300000}\nsend: {batch_bytes: 10000}\n")
	c := p.caller()
	refused := func(code, reason string, request []byte) {
		t.Helper()
		before := testutil.ToFloat64(p.counts.refused.WithLabelValues(doorGRPC, reason))
		gotCode, text := c.call(collect.MagmaCollect, request)
		assert.Equal(t, code, gotCode, text)
		assert.True(t, strings.HasPrefix(text, reason+": "), text)
		assert.InDelta(t, before+1, testutil.ToFloat64(p.counts.refused.WithLabelValues(doorGRPC, reason)), 0)
	}
	one := message(1, "gw", 2, counterOf(t, "rows"))
	refused("3", "malformed", []byte("no protobuf"))
	refused("3", "malformed", message(1, "gw", 2, counterOf(t, "")))
	refused("8", "body_too_large", message(1, strings.Repeat("x", 2001)))
	refused("8", "too_many_samples", bytes.Repeat(one, 11))
	refused("3", "native_histogram", message(1, "gw", 2, familyOf(t, "native", dto.MetricType_HISTOGRAM, &dto.Metric{Histogram: &dto.Histogram{
		Schema: proto.Int32(3), SampleCount: proto.Uint64(1), PositiveSpan: []*dto.BucketSpan{{Offset: proto.Int32(1), Length: proto.Uint32(1)}}, PositiveDelta: []int64{1},
	}})))
	full := false
	for i := 0; i < 100_000 && !full; i++ {
		code, text := c.call(collect.MagmaCollect, message(1, "gw", 2, counterOf(t, "rows", "n", strings.Repeat("x", 1000))))
		if full = code != "0"; full {
			assert.Equal(t, "8", code)
			assert.True(t, strings.HasPrefix(text, "queue_full: "), text)
		}
	}
	assert.True(t, full)
	require.ErrorAs(t, p.Close(ended()), new(*exporter.UndeliveredError))
	refused("14", "stopping", one)
}

// A call and a reload wait for each other no longer than each takes.
func TestCallsWhileReloading(t *testing.T) {
	p := open(t, 1, "")
	c := p.caller()
	request := join(message(1, "gw"), bytes.Repeat(message(2, counterOf(t, "rows")), 500))
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for range 20 {
				c.called(collect.MagmaCollect, request)
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		calls.Wait()
	}()
	for i := 0; ; i++ {
		p.write(p.list() + fmt.Sprintf("limits: {samples: %d}\n", 1000+i))
		reloaded := make(chan error, 1)
		go func() { reloaded <- p.Reload() }()
		select {
		case err := <-reloaded:
			require.NoError(t, err)
		case <-time.After(20 * time.Second):
			t.Fatal("the reload hangs")
		}
		select {
		case <-done:
			return
		default:
		}
	}
}
