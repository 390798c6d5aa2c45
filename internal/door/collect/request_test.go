package collect

import (
	"math"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// field appends a message, or a text, as a field.
func field(message []byte, number protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(message, number, protowire.BytesType), value)
}

func text(message []byte, number protowire.Number, value string) []byte {
	return field(message, number, []byte(value))
}

func family(t testing.TB, name string) []byte {
	t.Helper()
	message, err := proto.Marshal(&dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(1)}}}})
	require.NoError(t, err)
	return message
}

// told is a family as a test looks at it.
type told struct {
	name string
	from Origin
}

func read(t testing.TB, method string, request []byte) (families []told) {
	t.Helper()
	require.NoError(t, readers[method](request, func(f Family) error {
		var m dto.MetricFamily
		require.NoError(t, proto.Unmarshal(f.Message, &m))
		families = append(families, told{m.GetName(), f.Origin})
		return nil
	}))
	return families
}

func TestFamiliesAlone(t *testing.T) {
	assert.Empty(t, read(t, EdgeHub, nil))
	request := field(field(nil, 1, family(t, "a")), 1, family(t, "b"))
	assert.Equal(t, []told{{name: "a"}, {name: "b"}}, read(t, EdgeHub, request))
}

// Whose they are may stand behind them.
func TestFamiliesOfAGateway(t *testing.T) {
	request := text(field(nil, 2, family(t, "a")), 1, "gw1")
	assert.Equal(t, []told{{"a", Origin{Kind: Gateway, Gateway: "gw1"}}}, read(t, MagmaCollect, request))
}

func TestPushedMetrics(t *testing.T) {
	metric := text(nil, 1, "pushed")
	metric = protowire.AppendFixed64(protowire.AppendTag(metric, 2, protowire.Fixed64Type), math.Float64bits(2.5))
	metric = protowire.AppendVarint(protowire.AppendTag(metric, 3, protowire.VarintType), 1_700_000_000_123)
	metric = field(metric, 4, text(text(nil, 1, "a"), 2, "x"))
	metric = field(metric, 4, text(text(nil, 1, "b"), 2, "y"))
	request := text(field(field(nil, 2, metric), 2, text(nil, 1, "without_all")), 1, "net1")

	var got []*dto.MetricFamily
	require.NoError(t, readers[MagmaPush](request, func(f Family) error {
		assert.Equal(t, Origin{Kind: Pushed, Network: "net1"}, f.Origin)
		m := new(dto.MetricFamily)
		require.NoError(t, proto.Unmarshal(f.Message, m))
		got = append(got, m)
		return nil
	}))
	label := func(name, value string) *dto.LabelPair { return &dto.LabelPair{Name: &name, Value: &value} }
	gauge := func(name string, m *dto.Metric) *dto.MetricFamily {
		return &dto.MetricFamily{Name: &name, Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{m}}
	}
	want := []*dto.MetricFamily{
		gauge("pushed", &dto.Metric{
			Label: []*dto.LabelPair{label("a", "x"), label("b", "y")},
			Gauge: &dto.Gauge{Value: proto.Float64(2.5)}, TimestampMs: proto.Int64(1_700_000_000_123),
		}),
		gauge("without_all", &dto.Metric{Gauge: &dto.Gauge{Value: proto.Float64(0)}}),
	}
	require.Len(t, got, len(want))
	for i := range want {
		assert.True(t, proto.Equal(want[i], got[i]), "%v", got[i])
	}
}

func TestSubmittedFamilies(t *testing.T) {
	submitted := func(name string, context []byte) []byte {
		return field(field(nil, 1, family(t, name)), 2, text(context, 1, name))
	}
	gateway := text(text(nil, 1, "net1"), 2, "gw1")
	var request []byte
	request = field(request, 1, submitted("a", field(nil, 3, gateway)))
	request = field(request, 1, submitted("b", field(nil, 2, text(nil, 1, "host1"))))
	request = field(request, 1, submitted("c", field(nil, 4, text(nil, 1, "net2"))))
	request = field(request, 1, submitted("d", nil))
	request = field(request, 1, submitted("e", field(field(nil, 2, text(nil, 1, "host1")), 3, gateway)))
	want := []told{
		{"a", Origin{Kind: Gateway, Network: "net1", Gateway: "gw1"}},
		{"b", Origin{Kind: Cloud, CloudHost: "host1"}},
		{"c", Origin{Kind: Pushed, Network: "net2"}},
		{"d", Origin{}},
		{"e", Origin{Kind: Gateway, Network: "net1", Gateway: "gw1"}},
	}
	assert.Equal(t, want, read(t, MagmaSubmit, request))
	assert.Equal(t, want, read(t, MagmaSubmitV0, request))
}

// A message whose parts stand apart is one, as everywhere in protobuf.
func TestSubmittedFamilyInTwoParts(t *testing.T) {
	whole := family(t, "a")
	name := text(nil, 1, "a")
	require.Equal(t, name, whole[:len(name)])
	request := field(nil, 1, field(field(nil, 1, whole[:len(name)]), 1, whole[len(name):]))
	assert.Equal(t, []told{{name: "a"}}, read(t, MagmaSubmit, request))
}

func TestRequestsThatAreNone(t *testing.T) {
	for _, method := range []string{EdgeHub, MagmaCollect, MagmaPush, MagmaSubmit} {
		for _, request := range []string{"\x0a\x05abc", "\xff", "\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", "\x0b"} {
			err := readers[method]([]byte(request), func(Family) error { return nil })
			assert.Error(t, err, "%s %q", method, request)
		}
	}
	assert.ErrorContains(t, readers[MagmaCollect](text(nil, 1, "\xff"), nil), "is not in UTF-8")
	err := readers[MagmaSubmit](field(field(nil, 1, nil), 1, []byte{0xff}), func(Family) error { return nil })
	assert.EqualError(t, err, "family 2 of the request: the request is no message in protobuf")
}

// Whatever a request is, reading it ends with its families or an error, and a pushed metric makes a family.
func FuzzRequests(f *testing.F) {
	f.Add(field(nil, 1, family(f, "a")))
	f.Add(text(field(nil, 2, family(f, "a")), 1, "gw1"))
	f.Add(text(field(nil, 2, field(text(nil, 1, "m"), 4, text(text(nil, 1, "a"), 2, "x"))), 1, "net1"))
	f.Add(field(nil, 1, field(field(nil, 1, family(f, "a")), 2, field(nil, 3, text(text(nil, 1, "n"), 2, "g")))))
	f.Fuzz(func(t *testing.T, request []byte) {
		for method, read := range readers {
			families, bytes := 0, 0
			err := read(request, func(f Family) error {
				families++
				bytes += len(f.Message)
				if method != MagmaPush {
					return nil
				}
				return eachField(f.Message, func(protowire.Number, protowire.Type, []byte, uint64) error { return nil })
			})
			if err == nil && method != MagmaPush {
				assert.LessOrEqual(t, bytes+2*families, len(request), "%s", method)
			}
		}
	})
}

// What it takes to find the families of a request, and to make one of a pushed metric.
//
//	go test ./internal/door/collect -run '^$' -bench Requests
func BenchmarkRequests(b *testing.B) {
	const families = 300
	metric := protowire.AppendFixed64(protowire.AppendTag(text(nil, 1, "pushed"), 2, protowire.Fixed64Type), math.Float64bits(2.5))
	metric = field(metric, 4, text(text(nil, 1, "a"), 2, "x"))
	submitted := field(field(nil, 1, family(b, "a")), 2, field(nil, 3, text(text(nil, 1, "net1"), 2, "gw1")))
	for method, each := range map[string][]byte{MagmaPush: field(nil, 2, metric), MagmaSubmit: field(nil, 1, submitted)} {
		var request []byte
		for range families {
			request = append(request, each...)
		}
		b.Run(method, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := readers[method](request, func(Family) error { return nil }); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/families, "ns/family")
		})
	}
}
