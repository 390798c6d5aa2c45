package groups

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Each family is described once, with the help of the first group, and the times of the groups are there.
func TestText(t *testing.T) {
	s := newSet(t, Config{})
	assert.Empty(t, s.push("PUT", "job/b", "# HELP x other\n# TYPE x gauge\nx 2\n"))
	assert.Empty(t, s.push("PUT", "job/a/k/%22%0A", "# HELP x a \\\\ b\n# TYPE x gauge\nx NaN\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n"+
		"# TYPE h histogram\nh_bucket{le=\"1e6\"} 1\nh_bucket{le=\"1\"} 1\nh_sum 2\nh_count 3\n# TYPE g gaugehistogram\ng_bucket{le=\"1\"} 1\n"))
	text := s.text(nil)
	parses(t, text)
	assert.Equal(t, `g_bucket{instance="",job="a",k="\"\n",le="1.0"} 1
g_bucket{instance="",job="a",k="\"\n",le="+Inf"} 0
g_sum{instance="",job="a",k="\"\n"} 0
g_count{instance="",job="a",k="\"\n"} 0
# TYPE h histogram
h_bucket{instance="",job="a",k="\"\n",le="1"} 1
h_bucket{instance="",job="a",k="\"\n",le="1e+06"} 1
h_bucket{instance="",job="a",k="\"\n",le="+Inf"} 3
h_sum{instance="",job="a",k="\"\n"} 2
h_count{instance="",job="a",k="\"\n"} 3
# HELP push_failure_time_seconds When a push to this group was refused last, in seconds since the epoch; 0 for never.
# TYPE push_failure_time_seconds gauge
push_failure_time_seconds{instance="",job="a",k="\"\n"} 0
push_failure_time_seconds{instance="",job="b"} 0
# HELP push_time_seconds When a push to this group was taken last, in seconds since the epoch; 0 for never.
# TYPE push_time_seconds gauge
push_time_seconds{instance="",job="a",k="\"\n"} 1700000000
push_time_seconds{instance="",job="b"} 1700000000
# TYPE s summary
s{instance="",job="a",k="\"\n",quantile="0.5"} 1
s_sum{instance="",job="a",k="\"\n"} 2
s_count{instance="",job="a",k="\"\n"} 3
# HELP x a \\ b
# TYPE x gauge
x{instance="",job="a",k="\"\n"} NaN
x{instance="",job="b"} 2
`, text)
}

// Behind a text that has the same names nothing is described twice, bounds are spelled as Prometheus reads
// them without a type, and what would be a broken part of a histogram is left out.
func TestTextBesideTheLog(t *testing.T) {
	const log = "x 1 5\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 5\nh_sum 1 5\nh_count 1 5\n# TYPE s summary\ns_sum 1 5\ns_count 1 5\n"
	beside := func(name string) (there, compound bool) {
		compound = name == "h" || name == "s"
		return compound || name == "x", compound
	}
	s := newSet(t, Config{})
	assert.Empty(t, s.push("PUT", "job/j", "# TYPE x counter\nx 2\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"0.5\"} 0\nh_sum 1\nh_count 1\n"+
		"# TYPE s gauge\ns{quantile=\"high\"} 1\ns{quantile=\"1\"} 1\n# TYPE s_sum gauge\ns_sum 3\n# TYPE y gauge\ny 4\n"))
	text := s.text(beside)
	parses(t, log+text)
	_, text, _ = strings.Cut(text, "h_bucket")
	assert.NotContains(t, text, "high")
	assert.Equal(t, []string{
		`h_bucket{instance="",job="j",le="+Inf"} 1`, `h_bucket{instance="",job="j",le="1.0"} 1`, `h_count{instance="",job="j"} 1`,
		`h_sum{instance="",job="j"} 1`, `s_sum{instance="",job="j"} 3`, `s{instance="",job="j",quantile="1"} 1`, `x{instance="",job="j"} 2`, `y{instance="",job="j"} 4`,
		`{instance="",job="j",le="0.5"} 0`,
	}, seriesOf(text))
	assert.Equal(t, 1, strings.Count(text, "# TYPE y"))
	assert.Equal(t, 3, strings.Count(text, "# TYPE"), "and the two of times")

	left, err := s.View(s.now).Text(&strings.Builder{}, beside)
	assert.NoError(t, err)
	assert.Equal(t, 1, left)
}

// Protobuf has histograms and summaries whole, native ones, too; where counts do not add up the series are single.
func TestProto(t *testing.T) {
	s := newSet(t, Config{})
	const (
		labels = `label:{name:"instance" value:""} label:{name:"job" value:"j"} `
		native = `histogram:{sample_count:3 sample_sum:2 schema:3 zero_threshold:0.1 zero_count:1 positive_span:{offset:-1 length:2} positive_delta:1 positive_delta:0 ` +
			`bucket:{cumulative_count:2 upper_bound:1 exemplar:{label:{name:"trace" value:"1"} value:1}}}`
		falling = `histogram:{sample_count:3 sample_sum:2 bucket:{cumulative_count:2 upper_bound:1} bucket:{cumulative_count:1 upper_bound:2}}`
	)
	assert.Empty(t, s.pushProto("job/j", `name:"n" help:"so much" type:HISTOGRAM metric:{`+native+`}`, `name:"s" type:SUMMARY metric:{summary:{sample_count:1 sample_sum:2 quantile:{quantile:1 value:3}}}`,
		`name:"f" type:HISTOGRAM metric:{`+falling+`}`, `name:"g" type:GAUGE_HISTOGRAM metric:{histogram:{sample_count_float:0.5 bucket:{cumulative_count_float:0.5 upper_bound:1}}}`))
	single := func(name, labels, value string) string {
		return `name:"` + name + `" type:UNTYPED ` + labels + value
	}
	bucket := func(bound, value string) string {
		return `metric:{` + labels + `label:{name:"le" value:"` + bound + `"} untyped:{value:` + value + `}}`
	}
	assert.Equal(t, []string{
		single("f_bucket", bucket("1.0", "2")+" "+bucket("2.0", "1")+" "+bucket("+Inf", "3"), ""),
		single("f_sum", `metric:{`+labels+`untyped:{value:2}}`, ""),
		single("f_count", `metric:{`+labels+`untyped:{value:3}}`, ""),
		`name:"g" type:GAUGE_HISTOGRAM metric:{` + labels + `histogram:{sample_count_float:0.5 bucket:{cumulative_count_float:0.5 upper_bound:1}}}`,
		`name:"n" help:"so much" type:HISTOGRAM metric:{` + labels + canonical(native) + `}`,
		`name:"s" type:SUMMARY metric:{` + labels + `summary:{sample_count:1 sample_sum:2 quantile:{quantile:1 value:3}}}`,
	}, s.messages())
	parses(t, s.text(nil))
}

// canonical puts the fields of the native histogram in the order of their numbers.
func canonical(native string) string {
	before, bucket, _ := strings.Cut(strings.TrimSuffix(native, "}"), ` bucket:`)
	return strings.Replace(before, ` schema:`, ` bucket:`+bucket+` schema:`, 1) + "}"
}

// A histogram for which a Prometheus would refuse the whole scrape is refused.
func TestHistogramsThatAreNone(t *testing.T) {
	refused := func(reason, histogram string) {
		t.Helper()
		assert.Equal(t, reason, newSet(t, Config{}).pushProto("job/j", `name:"n" type:HISTOGRAM metric:{histogram:{`+histogram+`}}`), histogram)
	}
	refused("", `sample_count:3 schema:0 positive_span:{offset:0 length:1} positive_span:{offset:2 length:1} positive_delta:1 positive_delta:1`)
	refused("", `sample_count:3 sample_sum:nan schema:0 positive_span:{offset:0 length:1} positive_delta:1`)
	refused("", `sample_count_float:3 schema:0 negative_span:{offset:0 length:1} negative_count:1.5`)
	refused(BadHistogram, `sample_count:3 schema:0 positive_span:{offset:0 length:1} positive_delta:1`)
	refused(BadHistogram, `sample_count:3 schema:0 positive_span:{offset:0 length:2} positive_delta:3`)
	refused(BadHistogram, `sample_count:3 schema:0 positive_span:{offset:0 length:1} positive_span:{offset:-1 length:1} positive_delta:1 positive_delta:1`)
	refused(BadHistogram, `sample_count:3 schema:0 positive_span:{offset:2147483647 length:1} positive_delta:3`)
	refused(BadHistogram, `sample_count:3 schema:0 positive_span:{offset:0 length:2} positive_delta:4 positive_delta:-5`)
	refused(BadHistogram, `sample_count:3 schema:9 positive_span:{offset:0 length:1} positive_delta:3`)
	refused(BadHistogram, `sample_count:3 schema:-53 positive_span:{offset:0 length:1} positive_delta:3`)
	refused(BadHistogram, `sample_count:3 positive_delta:3`)
	refused(BadHistogram, `sample_count:3 schema:0 zero_threshold:nan zero_count:3`)
	refused(BadHistogram, `sample_count:9223372036854775807 sample_sum:nan schema:0 positive_span:{offset:0 length:2} positive_delta:9223372036854775807 positive_delta:9223372036854775807`)
	refused(BadHistogram, `sample_count_float:3 schema:0 negative_span:{offset:0 length:1} negative_count:-1`)
	refused(BadHistogram, `sample_count_float:inf schema:0 negative_span:{offset:0 length:1} negative_count:1`)
	refused(Duplicate, `sample_count:3 bucket:{cumulative_count:1 upper_bound:1} bucket:{cumulative_count:2 upper_bound:1}`)
	refused(Duplicate, `sample_count:3 bucket:{cumulative_count:1 upper_bound:nan}`)
}

// What protobuf can say and a scrape cannot is refused.
func TestMessagesThatAreNone(t *testing.T) {
	refused := func(reason string, families ...string) {
		t.Helper()
		assert.Equal(t, reason, newSet(t, Config{}).pushProto("job/j", families...), families)
	}
	const gauge = `metric:{gauge:{value:1}}`
	refused("", `name:"x" type:GAUGE `+gauge, `name:"x" type:GAUGE metric:{label:{name:"l" value:"1"} gauge:{value:1}}`)
	refused(Duplicate, `name:"x" type:GAUGE `+gauge, `name:"x" type:GAUGE `+gauge)
	refused(Duplicate, `name:"a.b" type:GAUGE `+gauge, `name:"a_b" type:GAUGE `+gauge)
	refused(Inconsistent, `name:"x" type:GAUGE `+gauge, `name:"x" type:UNTYPED metric:{untyped:{value:1}}`)
	refused(Malformed, `name:"x" type:COUNTER `+gauge)
	refused(Malformed, `name:"x" type:SUMMARY `+gauge)
	refused(Malformed, `name:"x" type:HISTOGRAM `+gauge)
	refused(Malformed, `type:GAUGE `+gauge)
	refused(Malformed, `name:"x" type:GAUGE metric:{label:{name:"" value:"1"} gauge:{value:1}}`)
	refused(Malformed, `name:"x" type:GAUGE metric:{label:{name:"__name__" value:"1"} gauge:{value:1}}`)
	refused(Malformed, `name:"x" type:GAUGE metric:{label:{name:"a" value:"1"} label:{name:"a" value:"2"} gauge:{value:1}}`)
	refused(Malformed, `name:"x" type:SUMMARY metric:{label:{name:"quantile" value:"1"} summary:{sample_count:1}}`)
	refused(Duplicate, `name:"x" type:SUMMARY metric:{summary:{quantile:{quantile:1 value:1} quantile:{quantile:1 value:2}}}`)
	refused(Timestamp, `name:"x" type:GAUGE metric:{gauge:{value:1} timestamp_ms:0}`)
}

// A message that announces more than there is gets no memory for that.
func TestLengthThatIsALie(t *testing.T) {
	_, refused := newSet(t, Config{}).Decode(protoType, []byte("\xa1\xcc\x81\xe5\x41"))
	assert.Equal(t, Malformed, refused.Reason)
}

// What has far more parts than all groups may have series is refused before it is parsed.
func TestBodiesWithTooManyParts(t *testing.T) {
	limits := plenty
	limits.Series = 10
	s := newSet(t, Config{Limits: limits})
	refused := func(contentType string, body []byte) {
		t.Helper()
		_, refused := s.Decode(contentType, body)
		if assert.NotNil(t, refused) {
			assert.Equal(t, []any{Full, ManySeries}, []any{refused.Kind, refused.Reason})
		}
	}
	refused(textType, []byte(strings.Repeat("x 1\n", 161)))
	refused(textType, []byte("x{"+strings.Repeat("l=\"\",", 161)+"} 1\n"))
	refused(protoType, delimitedBody(t, `name:"x" `+strings.Repeat(`metric:{} `, 160)))
	refused(protoType, delimitedBody(t, `name:"x" metric:{`+strings.Repeat(`label:{} `, 160)+`}`))
	refused(protoType, delimitedBody(t, `name:"x" metric:{histogram:{`+strings.Repeat(`bucket:{} `, 160)+`}}`))
	_, few := s.Decode(textType, []byte("# HELP x so much\n\n"+strings.Repeat("x 1\n", 160)))
	assert.Nil(t, few)
	_, few = s.Decode(protoType, delimitedBody(t, `name:"x" metric:{`+strings.Repeat(`label:{} `, 150)+`}`))
	assert.Nil(t, few)
}
