package edgehub

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listed reads a list of gateways with Prometheus' own parser and returns the
// values of its two families by the gateway's name.
func listed(t *testing.T, text, label string) (pushed, series map[string]float64) {
	t.Helper()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err)
	require.Len(t, families, 3)
	values := func(name string) map[string]float64 {
		f := families[name]
		require.Equal(t, dto.MetricType_GAUGE, f.GetType())
		require.NotEmpty(t, f.GetHelp())
		all := map[string]float64{}
		for _, m := range f.Metric {
			require.Len(t, m.Label, 1)
			require.Equal(t, label, m.Label[0].GetName())
			require.Nil(t, m.TimestampMs)
			all[m.Label[0].GetValue()] = m.GetGauge().GetValue()
		}
		require.Len(t, all, len(f.Metric))
		return all
	}
	return values("edgehub_gateway_last_push_timestamp_seconds"), values("edgehub_gateway_series")
}

func TestGateways(t *testing.T) {
	s := serve(t, Config{})
	begin := float64(time.Now().UnixMilli()) / 1000
	odd := "\"\\\n ü"
	s.push(at("x", 1, 0) + at(`x{gatewayID="b"}`, 1, 0) + at(`y{gatewayID="b"}`, 1, 0) + at(`y{gatewayID="a"}`, 1, 0) +
		at(`y{gatewayID="\"\\\n ü"}`, 1, 0) + at(`y{gatewayID=""}`, 1, 0))
	answer, text := s.do("GET", "/gateways", "")
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", answer.Header.Get("Content-Type"))
	pushed, series := listed(t, text, "gatewayID")
	assert.Equal(t, map[string]float64{"a": 1, "b": 2, odd: 1}, series)
	for gateway, at := range pushed { // samples are a minute older
		assert.GreaterOrEqual(t, at, begin, gateway)
		assert.LessOrEqual(t, at, float64(time.Now().UnixMilli())/1000, gateway)
	}
	assert.Len(t, pushed, 3)
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(l string) bool { return !strings.HasPrefix(l, "edgehub_gateway_series") })
	assert.True(t, slices.IsSorted(lines), text)
	assert.Contains(t, text, "\nedgehub_no_gateway_series 2\n")
	assert.Equal(t, 6, s.Stats().Pending, "it took something")
}

func TestGatewaysEmpty(t *testing.T) {
	s := serve(t, Config{})
	s.push("x 1\n")
	p := expfmt.NewTextParser(model.UTF8Validation)
	_, err := p.TextToMetricFamilies(strings.NewReader(s.get("/gateways")))
	assert.NoError(t, err)
}

// The label is the hub's, in quotes where its name needs them, and escaped for who
// asks for no such names.
func TestGatewaysLabel(t *testing.T) {
	s := serve(t, Config{GatewayLabel: "gateway.id"})
	s.push(at(`x{"gateway.id"="a"}`, 1, 0))
	for accept, label := range map[string]string{
		"text/plain;version=1.0.0;escaping=allow-utf-8": "gateway.id",
		"text/plain;version=1.0.0;escaping=underscores": "gateway_id",
		"": "U__gateway_2e_id",
	} {
		_, text := s.do("GET", "/gateways", "", "Accept", accept)
		_, series := listed(t, text, label)
		assert.Equal(t, map[string]float64{"a": 1}, series)
	}
}

func TestGatewaysZipped(t *testing.T) {
	s := serve(t, Config{})
	s.push(at(`x{gatewayID="a"}`, 1, 0))
	answer, text := s.do("GET", "/gateways", "", "Accept-Encoding", "gzip")
	require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(strings.NewReader(text))
	require.NoError(t, err)
	plain, err := io.ReadAll(z)
	require.NoError(t, err)
	assert.Equal(t, s.get("/gateways"), string(plain))
}
