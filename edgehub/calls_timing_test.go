package edgehub

import (
	"fmt"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
)

// What a sample of known series costs that comes by gRPC, over loopback: client, connection and hub together.
//
//	go test ./edgehub -run '^$' -bench Call
func BenchmarkCall(b *testing.B) {
	const gateways, families = 100, 100
	var message []byte
	for f := range families {
		family := &dto.MetricFamily{Name: proto.String(fmt.Sprintf("gateway_metric_%d", f)), Type: dto.MetricType_GAUGE.Enum()}
		for g := range gateways {
			family.Metric = append(family.Metric, &dto.Metric{
				Label: []*dto.LabelPair{
					{Name: proto.String("gatewayID"), Value: proto.String(fmt.Sprintf("gw%04d", g))}, {Name: proto.String("networkID"), Value: proto.String("net1")},
				},
				Gauge: &dto.Gauge{Value: proto.Float64(float64(f*g) / 4)}, TimestampMs: proto.Int64(base),
			})
		}
		message = append(message, encodedFamily(b, family)...)
	}
	h := newHub(b, Config{})
	c := serveCalls(b, h)
	call := func() {
		if status, text := c.call(callEdgeHub, "", message); status != "OK" {
			b.Fatal(text)
		}
		passAll(h)
	}
	call()
	require.EqualValues(b, gateways*families, h.Stats().Received)
	b.SetBytes(int64(len(message)))
	b.ReportAllocs()
	for b.Loop() {
		call()
	}
	perSample(b, gateways*families)
}
