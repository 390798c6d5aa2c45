package edgehub

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
)

// callers calls a hub by gRPC.
type callers struct {
	t      testing.TB
	url    string
	client *http.Client
}

// serveCalls serves a hub to who calls it by gRPC.
func serveCalls(t testing.TB, h *Hub) *callers {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, ended := h.GRPCServer(), make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: protocols}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-ended, http.ErrServerClosed)
	})
	return &callers{t, "http://" + l.Addr().String(), &http.Client{Transport: transport}}
}

const callEdgeHub = "/grpc.MetricsController/Collect"

// call sends a message, and returns the status in a word, and what it says.
func (c *callers) call(method, encoding string, message []byte) (status, text string) {
	c.t.Helper()
	prefix := make([]byte, 5)
	if encoding != "" {
		prefix[0] = 1
		message = packed(c.t, encoding, string(message))
	}
	binary.BigEndian.PutUint32(prefix[1:], uint32(len(message)))
	return c.send(method, encoding, append(prefix, message...))
}

// send sends the body of a call.
func (c *callers) send(method, encoding string, body []byte) (status, text string) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), http.MethodPost, c.url+method, bytes.NewReader(body))
	require.NoError(c.t, err)
	r.Header.Set("Content-Type", "application/grpc")
	r.Header.Set("Te", "trailers")
	r.Header.Set("Grpc-Encoding", encoding)
	resp, err := c.client.Do(r)
	require.NoError(c.t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(c.t, err)
	status, ok := map[string]string{
		"0": "OK", "3": "InvalidArgument", "4": "DeadlineExceeded", "8": "ResourceExhausted", "12": "Unimplemented", "14": "Unavailable",
	}[resp.Trailer.Get("Grpc-Status")]
	require.True(c.t, ok, "%v", resp.Trailer)
	return status, resp.Trailer.Get("Grpc-Message")
}

// familiesOf is a MetricFamilies of families that are written as text.
func familiesOf(t testing.TB, families ...string) (message []byte) {
	t.Helper()
	for _, text := range families {
		f := &dto.MetricFamily{}
		require.NoError(t, prototext.Unmarshal([]byte(text), f))
		message = append(message, encodedFamily(t, f)...)
	}
	return message
}

// encodedFamily is a family as the field of a MetricFamilies.
func encodedFamily(t testing.TB, f *dto.MetricFamily) []byte {
	t.Helper()
	var field bytes.Buffer
	field.WriteByte(1<<3 | 2)
	_, err := protodelim.MarshalTo(&field, f)
	require.NoError(t, err)
	return field.Bytes()
}

// What is called is in the log with its own times, or that of its arrival.
func TestCallIsTaken(t *testing.T) {
	h := newHub(t, Config{})
	c := serveCalls(t, h)
	before := time.Now().UnixMilli()
	status, text := c.call(callEdgeHub, "", familiesOf(t,
		`name:"a" type:COUNTER help:"Of a." metric{label{name:"gatewayID" value:"gw1"} counter{value:3} timestamp_ms:`+strconv.FormatInt(before-5000, 10)+`}`,
		`name:"b" type:GAUGE metric{gauge{value:1}}`,
		`name:"c" type:GAUGE metric{gauge{value:2} timestamp_ms:0}`,
	))
	require.Equal(t, "OK", status, text)
	pending := map[string]Point{}
	for series, p := range h.Pending() {
		pending[series] = p
	}
	require.Len(t, pending, 3)
	assert.Equal(t, Point{before - 5000, 3}, pending[`a{gatewayID="gw1"}`])
	for _, series := range []string{"b", "c"} {
		assert.GreaterOrEqual(t, pending[series].Time, before, series)
	}
	assert.EqualValues(t, 3, h.Stats().Received)
}

// A refused call says why, is counted, and leaves nothing.
func TestRefusedCalls(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := newHub(t, Config{MaxSamples: 2, MaxMessageBytes: 300, Registerer: registry})
	c := serveCalls(t, h)
	reason := ""
	refused := func(status, text string, message []byte) {
		t.Helper()
		got, said := c.call(callEdgeHub, "", message)
		assert.Equal(t, status, got)
		assert.Contains(t, said, text)
		reason, _, _ = strings.Cut(said, ":")
	}
	one := familiesOf(t, `name:"a" type:GAUGE metric{gauge{value:1}}`)
	broken := append(slices.Clone(one), 1<<3|2, 3, 1, 2, 3)
	refused("InvalidArgument", "malformed: family 2 of the request: ", broken)
	refused("InvalidArgument", "time_unit: family 1 of the request: ", familiesOf(t, `name:"a" type:GAUGE metric{gauge{value:1} timestamp_ms:1700000000}`))
	refused("ResourceExhausted", "body_too_large: the message is larger than 300 bytes", familiesOf(t, `name:"`+strings.Repeat("a", 300)+`"`))
	status, said := c.send(callEdgeHub, "", append([]byte{0, 0, 0, 0, 100}, one...))
	assert.Equal(t, "InvalidArgument", status)
	assert.Equal(t, "unreadable: read the body: the call ends before its message does", said)
	assert.Equal(t, 0, h.Stats().Pending)
	assert.Equal(t, 0, h.Stats().Series)

	status, said = c.call(callEdgeHub, "", familiesOf(t, `name:"a" type:GAUGE metric{gauge{value:1}} metric{label{name:"x" value:"y"} gauge{value:1}}`))
	require.Equal(t, "OK", status, said)
	refused("ResourceExhausted", "", familiesOf(t, `name:"b" type:GAUGE metric{gauge{value:1}}`))
	assert.Equal(t, "hub_full", reason)
	assert.Equal(t, 2, h.Stats().Pending)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, h.Drain(ctx))
	refused("Unavailable", "stopping: the hub is stopping", one)

	counted := map[string]float64{}
	all, err := registry.Gather()
	require.NoError(t, err)
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == "edgehub_pushes_rejected_total" && m.GetCounter().GetValue() > 0 {
				counted[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
			}
		}
	}
	assert.Equal(t, map[string]float64{"malformed": 1, "time_unit": 1, "body_too_large": 1, "unreadable": 1, "hub_full": 1, "stopping": 1}, counted)
}

// A message may be as large as it likes to say, and takes no room before it is there.
func TestCallThatPromises(t *testing.T) {
	h := newHub(t, Config{BodyTimeout: 100 * time.Millisecond, MaxMessageBytes: 64 << 20, MaxBodyBytes: 1 << 20, MaxBodiesBytes: 1 << 20})
	c := serveCalls(t, h)
	body, write := io.Pipe()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url+callEdgeHub, body)
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/grpc")
	go func() { // it never ends
		_, err := write.Write([]byte{0, 0, 0x0f, 0, 0, 'x'})
		assert.NoError(t, err)
	}()
	resp, err := c.client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "4", resp.Trailer.Get("Grpc-Status"))
	assert.Contains(t, resp.Trailer.Get("Grpc-Message"), "too_slow: the body paused")
	require.NoError(t, write.Close())

	status, text := c.call(callEdgeHub, "", make([]byte, 1<<20+1))
	assert.Equal(t, "ResourceExhausted", status)
	assert.Contains(t, text, "the message is larger than 1048576 bytes")
}
