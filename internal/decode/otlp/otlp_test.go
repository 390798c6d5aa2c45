package otlp

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hubring/hubring/internal/decode"
)

func TestNumbers(t *testing.T) {
	checks(t, defaults, of("", `{"name":"a.b","unit":"s","description":"A time.","gauge":{"dataPoints":[`+number("1.5", str("k", "v"))+`]}}`),
		"# TYPE a_b_seconds gauge", "# HELP a_b_seconds A time.", `a_b_seconds{k="v"} 1.5 @5000`)
	checks(t, defaults, of("", `{"name":"reqs","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[`+number("2")+`]}}`),
		"# TYPE reqs_total counter", `reqs_total 2 @5000`, " since 1000")
	checks(t, defaults, of("", `{"name":"queue","sum":{"aggregationTemporality":2,"dataPoints":[`+number("-2")+`]}}`),
		"# TYPE queue gauge", `queue -2 @5000`)
	checks(t, defaults, of("", `{"name":"x","gauge":{"dataPoints":[{"asInt":"-9007199254740993"},{"timeUnixNano":1e9,"asDouble":"NaN"},{"flags":1}]}}`),
		"# TYPE x gauge", "x -9.007199254740992e+15 @arrival", "x NaN @1000", "x stale @arrival")
	checks(t, defaults, of("", `{"name":"nothing","gauge":{"dataPoints":[]}},{"name":"unknown"}`), []string(nil)...)
}

// The strategies are Prometheus' own.
func TestStrategies(t *testing.T) {
	request := of("", `{"name":"a.b","unit":"1","gauge":{"dataPoints":[`+number("1", str("x.y", "v"))+`]}}`)
	for strategy, want := range map[string]string{
		"UnderscoreEscapingWithSuffixes":    `a_b_ratio{x_y="v"}`,
		"UnderscoreEscapingWithoutSuffixes": `a_b{x_y="v"}`,
		"NoUTF8EscapingWithSuffixes":        `{"a.b_ratio","x.y"="v"}`,
		"NoTranslation":                     `{"a.b","x.y"="v"}`,
	} {
		r := &recorder{t: t}
		require.NoError(t, r.read(Config{Strategy: strategy}, request))
		assert.Equal(t, want+" 1 @5000", r.lines[1], strategy)
	}
	_, err := New(Config{Strategy: "None"})
	require.ErrorContains(t, err, "UnderscoreEscapingWithSuffixes, ")
	_, err = New(Config{Strategy: Strategies[0], Promote: []string{"__"}})
	require.ErrorContains(t, err, "__")
}

func TestClassicHistograms(t *testing.T) {
	checks(t, defaults, of("", `{"name":"lat","unit":"s","histogram":{"aggregationTemporality":2,"dataPoints":[
		{"startTimeUnixNano":"1000000000","timeUnixNano":"5000000000","count":"6","sum":7.5,"min":0.1,"max":5,"bucketCounts":["1","2","3"],"explicitBounds":[0.5,1e3],
		 "attributes":[`+str("le", "lost")+`,`+str("k", "v")+`],
		 "exemplars":[{"timeUnixNano":"4500000000","asDouble":0.25,"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708","filteredAttributes":[`+str("a.b", "c")+`]},{"asInt":"2000"}]},
		{"timeUnixNano":"5000000000","count":"1","bucketCounts":["1"]},
		{"timeUnixNano":"5000000000","flags":1,"sum":0,"bucketCounts":[0,0],"explicitBounds":[1]}]}}`),
		"# TYPE lat_seconds histogram",
		`lat_seconds_sum{k="v"} 7.5 @5000`, `lat_seconds_count{k="v"} 6 @5000`, " since 1000",
		`lat_seconds_bucket{k="v",le="0.5"} 1 @5000`,
		` exemplar label:{name:"a.b" value:"c"} label:{name:"span_id" value:"0102030405060708"} label:{name:"trace_id" value:"0102030405060708090a0b0c0d0e0f10"} value:0.25 timestamp:{seconds:4 nanos:500000000}`,
		`lat_seconds_bucket{k="v",le="1000"} 3 @5000`,
		`lat_seconds_bucket{k="v",le="+Inf"} 6 @5000`,
		` exemplar value:2000`,
		`lat_seconds_count 1 @5000`, `lat_seconds_bucket{le="+Inf"} 1 @5000`,
		`lat_seconds_sum stale @5000`, `lat_seconds_count stale @5000`, `lat_seconds_bucket{le="1"} stale @5000`, `lat_seconds_bucket{le="+Inf"} stale @5000`)
	checks(t, defaults, of("", `{"name":"lat","histogram":{"aggregationTemporality":2,"dataPoints":[{"bucketCounts":[1,2,3],"explicitBounds":[2,1]}]}}`),
		"# TYPE lat histogram", "! lat 1: the bounds of its buckets are not in order")
}

func TestExponentialHistograms(t *testing.T) {
	point := func(p string) string {
		return of("", `{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"timeUnixNano":"5000000000",`+p+`}]}}`)
	}
	checks(t, defaults, point(`"startTimeUnixNano":"1000000000","count":"8","sum":3,"scale":3,"zeroCount":"1","zeroThreshold":0.5,
		"positive":{"offset":-2,"bucketCounts":["0","1","2","0","0","0","3"]},"negative":{"offset":1,"bucketCounts":[1]}`),
		"# TYPE e histogram",
		`e sample_count:8 sample_sum:3 schema:3 zero_threshold:1e-128 zero_count:1 negative_span:{offset:2 length:1} negative_delta:1 `+
			`positive_span:{offset:0 length:2} positive_span:{offset:3 length:1} positive_delta:1 positive_delta:1 positive_delta:1 @5000`, " since 1000")
	// Two scales too fine: four buckets become one.
	checks(t, defaults, point(`"count":"10","scale":10,"positive":{"offset":-1,"bucketCounts":[1,2,3,4]}`),
		"# TYPE e histogram",
		`e sample_count:10 sample_sum:0 schema:8 zero_threshold:1e-128 zero_count:0 positive_span:{offset:0 length:2} positive_delta:1 positive_delta:8 @5000`)
	checks(t, defaults, point(`"count":"1","scale":9,"positive":{"offset":-1,"bucketCounts":[0,1,0]}`),
		"# TYPE e histogram",
		`e sample_count:1 sample_sum:0 schema:8 zero_threshold:1e-128 zero_count:0 positive_span:{offset:1 length:1} positive_delta:1 @5000`)
	checks(t, defaults, point(`"flags":1`), "# TYPE e histogram",
		`e sample_count:9218868437227405314 sample_sum:nan schema:0 zero_threshold:1e-128 zero_count:0 @5000`)
	checks(t, defaults, point(`"scale":-5`), "# TYPE e histogram", "! e 1: its scale is -5, and Prometheus has none below -4")
	checks(t, defaults, point(`"positive":{"offset":2147483647,"bucketCounts":[1]}`), "# TYPE e histogram", "! e 1: a bucket of its lies beyond all numbers")
}

func TestSummaries(t *testing.T) {
	checks(t, defaults, of("", `{"name":"s","summary":{"dataPoints":[{"timeUnixNano":"5000000000","count":"2","sum":3,"attributes":[`+str("k", "v")+`],
		"quantileValues":[{"quantile":0.5,"value":1},{"quantile":1,"value":2}]}]}}`),
		"# TYPE s summary", `s_sum{k="v"} 3 @5000`, `s_count{k="v"} 2 @5000`, `s{k="v",quantile="0.5"} 1 @5000`, `s{k="v",quantile="1"} 2 @5000`)
}

func TestAttributes(t *testing.T) {
	for attributes, want := range map[string]string{
		str("b", "2") + `,` + str("a", "1"):        `x{a="1",b="2"}`,
		str("a", "") + `,{"key":"n","value":null}`: `x`,
		str("__name__", "y"):                       `x`,
		str("a.b", "1") + `,` + str("a_b", "2") + `,` + str("c", "3") + `,` + str("a/b", ""): `x{a_b="1;;2",c="3"}`,
		str("1a", "\"\\\n"): `x{key_1a="\"\\\n"}`,
		`{"key":"t","value":{"boolValue":true}},{"key":"u","value":{"intValue":"-7"}},{"key":"v","value":{"doubleValue":1e21}},{"key":"w","value":{"bytesValue":"AQI="}}`: `x{t="true",u="-7",v="1e+21",w="AQI="}`,
		`{"key":"l","value":{"arrayValue":{"values":[{"stringValue":"<a>"},{"intValue":2},{}]}}}`:                                                                         `x{l="[\"<a>\",2,null]"}`,
		`{"key":"m","value":{"kvlistValue":{"values":[{"key":"b","value":{"doubleValue":0.5}},{"key":"a","value":{"bytesValue":"AQI="}}]}}}`:                              `x{m="{\"a\":\"AQI=\",\"b\":0.5}"}`,
		`{"key":"d","value":{"doubleValue":1e-7}},{"key":"e","value":{"doubleValue":"-Infinity"}}`:                                                                        `x{d="1e-7",e="-Infinity"}`,
	} {
		r := &recorder{t: t}
		require.NoError(t, r.read(defaults, of("", `{"name":"x","gauge":{"dataPoints":[`+number("1", attributes)+`]}}`)))
		assert.Equal(t, want+" 1 @5000", r.lines[1])
	}
	many := str("a", "b") + strings.Repeat(`,`+str("a", "b"), maxAttributes)
	checks(t, defaults, of("", `{"name":"x","gauge":{"dataPoints":[`+number("1", many)+`,`+number("2", str("__", "b"))+`,`+number("3")+`]}}`),
		"# TYPE x gauge", "! x 1: it has 257 attributes, the limit is 256",
		`! x 1: normalization for label name "__" resulted in invalid name "_"`, "x 3 @5000")
}

// What a resource says of itself is job and instance, and target_info; what is promoted every series has, unless its point knows better.
func TestResources(t *testing.T) {
	service := str("service.name", "api") + `,` + str("service.namespace", "shop") + `,` + str("service.instance.id", "i1")
	x := `{"name":"x","gauge":{"dataPoints":[` + number("1", str("job", "lost"), str("k", "v")) + `]}}`
	checks(t, defaults, of(service, x), "# TYPE x gauge", `x{k="v",job="shop/api",instance="i1"} 1 @5000`)
	checks(t, defaults, of(service+`,`+str("gatewayID", "gw1")+`,`+str("host.name", "h"), x),
		"# TYPE x gauge", `x{k="v",gatewayID="gw1",job="shop/api",instance="i1"} 1 @5000`,
		"# TYPE target_info gauge", "# HELP target_info Target metadata", `target_info{gatewayID="gw1",host_name="h",job="shop/api",instance="i1"} 1 @5000`)
	promote := Config{Strategy: Strategies[0], Gateway: "gateway_id", Promote: []string{"host.name", "k"}}
	checks(t, promote, of(str("gateway.id", "gw1")+`,`+str("host.name", "h")+`,`+str("k", "other"), x),
		"# TYPE x gauge", `x{job="lost",k="v",gateway_id="gw1",host_name="h"} 1 @5000`)
	checks(t, Config{Strategy: Strategies[0], Gateway: "the__gateway"}, of(str("the__gateway", "gw1"), x),
		"# TYPE x gauge", `x{job="lost",k="v",the__gateway="gw1"} 1 @5000`)
	// No labels of one resource are in the next one's series.
	both := strings.TrimSuffix(of(service, x), "]}") + "," + strings.TrimPrefix(of("", x), `{"resourceMetrics":[`)
	checks(t, defaults, both, "# TYPE x gauge", `x{k="v",job="shop/api",instance="i1"} 1 @5000`, `x{job="lost",k="v"} 1 @5000`)
}

// Each half of five minutes has its target_info, an hour at most, and a request has each sample of it once.
func TestTargetInfo(t *testing.T) {
	resource := str("service.name", "api") + `,` + str("k", "v")
	points := func(times ...string) string {
		return of(resource, `{"name":"x","gauge":{"dataPoints":[{"timeUnixNano":`+strings.Join(times, `},{"timeUnixNano":`)+`}]}}`)
	}
	times := func(request string) (got []string) {
		r := &recorder{t: t}
		require.NoError(t, r.read(defaults, request))
		for _, line := range r.lines {
			if rest, is := strings.CutPrefix(line, `target_info{k="v",job="api"} 1 @`); is {
				got = append(got, rest)
			}
		}
		return got
	}
	assert.Equal(t, []string{"1000", "151000", "201000"}, times(points("1000000000", "201000000000")))
	assert.Equal(t, []string{"1000"}, times(points("1000000000", "1000000001")))
	assert.Equal(t, []string{"arrival"}, times(points("0")))
	assert.Len(t, times(points("1", "1600000000000000000")), 25)
	one := points("1000000000")
	assert.Equal(t, []string{"1000"}, times(strings.TrimSuffix(one, "]}")+","+strings.TrimPrefix(one, `{"resourceMetrics":[`)))
	// Of points that are refused there is no target.
	assert.Empty(t, times(of(resource, `{"name":"x","sum":{"dataPoints":[`+number("1")+`]}}`)))
}

func TestScopes(t *testing.T) {
	cfg := defaults
	cfg.ScopeMetadata = true
	checks(t, cfg, of(str("service.name", "api"), `{"name":"x","gauge":{"dataPoints":[`+number("1", str("otel_scope_tier", "lost"))+`]}}`),
		"# TYPE x gauge", `x{job="api",otel_scope_name="lib",otel_scope_version="1.2",otel_scope_schema_url="https://s",otel_scope_tier="x"} 1 @5000`)
}

// Points that are no totals are refused, and the others are taken.
func TestTemporality(t *testing.T) {
	checks(t, defaults, of("", `{"name":"d","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[`+number("1")+`,`+number("2")+`]}},
		{"name":"u","histogram":{"dataPoints":[{}]}},{"name":"e","exponentialHistogram":{"aggregationTemporality":"AGGREGATION_TEMPORALITY_DELTA","dataPoints":[{}]}},
		{"name":"x","gauge":{"dataPoints":[`+number("3")+`]}}`),
		"! d 2: its temporality is delta, and only cumulative is taken; set OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative for the SDK, or use the Collector's processor deltatocumulative",
		"! u 1: it has no temporality, which must be cumulative",
		"! e 1: "+(&TemporalityError{Delta: true}).Error(),
		"# TYPE x gauge", "x 3 @5000")
}

// What a sink refuses is one point's, and what breaks the body off ends the reading.
func TestSinkRefuses(t *testing.T) {
	request := of("", `{"name":"x","gauge":{"dataPoints":[`+number("1", str("k", "bad"))+`,`+number("2")+`]}}`)
	refused := errors.New("no")
	r := &recorder{t: t, reject: func(series string) error {
		if strings.Contains(series, "bad") {
			return refused
		}
		return nil
	}}
	require.NoError(t, r.read(defaults, request))
	assert.Equal(t, []string{"# TYPE x gauge", "! x 1: no", "x 2 @5000"}, r.lines)
	r.reject = func(string) error { return &decode.BrokenError{Err: refused} }
	require.ErrorIs(t, r.read(defaults, request), refused)
}

// A family is described once in a request, and again where its help is another one.
func TestDescribedOnce(t *testing.T) {
	x := func(help string) string {
		return `{"name":"x","description":"` + help + `","gauge":{"dataPoints":[` + number("1") + `]}}`
	}
	checks(t, defaults, of("", x("a")+","+x("a")+","+x("b")),
		"# TYPE x gauge", "# HELP x a", "x 1 @5000", "x 1 @5000", "# HELP x b", "x 1 @5000")
}

// Fields may come in any order, and lists of numbers one by one.
func TestOrderOfFields(t *testing.T) {
	bytes := func(number protowire.Number, parts ...[]byte) []byte {
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), all)
	}
	eight := func(number protowire.Number, v float64) []byte { return appendNumber(nil, number, v) }
	count := func(number protowire.Number, v uint64) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(nil, number, protowire.Fixed64Type), v)
	}
	attribute := bytes(1, bytes(2, bytes(1, []byte("api"))), bytes(1, []byte("service.name")))
	point := bytes(1, count(6, 1), count(6, 2), eight(7, 0.5), count(4, 3), []byte{3<<3 | 5, 0, 0, 0, 0})
	temporality := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), cumulative)
	metric := bytes(2, bytes(9, point, temporality), bytes(1, []byte("h")))
	request := bytes(1, bytes(2, metric), bytes(1, attribute))
	r := &recorder{t: t}
	translator, err := New(defaults)
	require.NoError(t, err)
	require.NoError(t, translator.Protobuf(request, r, nil))
	assert.Equal(t, []string{"# TYPE h histogram", `h_count{job="api"} 3 @arrival`, `h_bucket{job="api",le="0.5"} 1 @arrival`, `h_bucket{job="api",le="+Inf"} 3 @arrival`}, r.lines)
	for cut := 1; cut < len(request); cut++ {
		require.ErrorIs(t, translator.Protobuf(request[:cut], &recorder{t: t}, nil), errWire, "%d bytes", cut)
	}
}
