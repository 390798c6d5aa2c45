package encode

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/exposition"
)

// encodeAll encodes items at time 1000 and returns the text, all bodys joined.
func encodeAll(items ...magma.MetricAndContext) (string, map[string]int) {
	e := New(time.UnixMilli(1000), false)
	e.Encode(items)
	var j wire.Joiner
	text := string(j.Join(nil, e.Bodies))
	dropped := map[string]int{}
	for why, d := range e.Dropped {
		if d.Samples > 0 {
			dropped[reason.Reason(why).String()] = d.Samples
		}
	}
	e.Release()
	return text, dropped
}

func TestNames(t *testing.T) {
	name := func(context, of, want string) {
		t.Helper()
		got := sanitised(submittedName(&magma.MetricAndContext{Family: &dto.MetricFamily{Name: &of}, Context: magma.MetricContext{MetricName: context}}))
		assert.Equal(t, want, got, "%q, %q", context, of)
	}
	name("", "up", "up")
	name("", "a:b_c1", "a:b_c1")
	name("", "cpu-load.avg 1m", "cpu_load_avg_1m")
	name("", "1st", "_1st")
	name("", "héllo", "h_llo")
	name("", "b\xffd", "b_d")
	name("", "{}", "__")
	name("", "_", "_")
	name("", "", "")
	name("other", "up", "other")
	name("9-lives", "up", "_9_lives")
}

func TestLabels(t *testing.T) {
	one := func(c magma.MetricContext, labels, want string) {
		t.Helper()
		f := family(t, `name:"m" type:GAUGE metric:{`+labels+` gauge:{value:1}}`)
		got, dropped := encodeAll(magma.MetricAndContext{Family: f, Context: c})
		assert.Equal(t, []string{want}, sampleLines(got), labels)
		assert.Empty(t, dropped)
	}
	one(noContext, ``, `m 1 1000`)
	one(noContext, `label:{name:"b" value:"2"} label:{name:"a" value:"1"}`, `m{a="1",b="2"} 1 1000`)
	one(noContext, `label:{name:"a" value:"x\"y\\z\n"}`, `m{a="x\"y\\z\n"} 1 1000`)
	one(noContext, `label:{name:"a" value:"µ"}`, `m{a="µ"} 1 1000`)
	one(noContext, `label:{name:"a" value:""}`, `m 1 1000`)
	one(noContext, `label:{name:"le" value:"1"}`, `m{le="1"} 1 1000`)
	one(gw, ``, `m{gatewayID="g",networkID="n"} 1 1000`)
	one(gw, `label:{name:"h" value:"1"}`, `m{gatewayID="g",h="1",networkID="n"} 1 1000`)
	one(gw, `label:{name:"gatewayID" value:"forged"} label:{name:"networkID" value:"\xff"}`, `m{gatewayID="g",networkID="n"} 1 1000`)
	one(magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n"}}, `label:{name:"gatewayID" value:""}`, `m{networkID="n"} 1 1000`)
	one(magma.MetricContext{AdditionalContext: &magma.CloudMetricContext{CloudHost: "c"}}, `label:{name:"networkID" value:"own"}`, `m{cloudHost="c",networkID="own"} 1 1000`)
	one(magma.MetricContext{AdditionalContext: &magma.PushedMetricContext{NetworkID: "p"}}, `label:{name:"gatewayID" value:"own"}`, `m{gatewayID="own",networkID="p"} 1 1000`)
	one(magma.MetricContext{AdditionalContext: (*magma.GatewayMetricContext)(nil)}, ``, `m 1 1000`)
	one(magma.MetricContext{AdditionalContext: &KeyContext{Key: "k"}}, `label:{name:"gatewayID" value:"own"}`, `m{gatewayID="own"} 1 1000`)
}

// Each of these is dropped, with its Reason, and its neighbours go on.
func TestDropped(t *testing.T) {
	drop := func(f *dto.MetricFamily, c magma.MetricContext, samples int, why string) {
		t.Helper()
		if f != nil {
			f.Metric = append(f.Metric, nil)
		}
		before := magma.MetricAndContext{Family: gaugeFamily("before", 1), Context: noContext}
		after := magma.MetricAndContext{Family: gaugeFamily("after", 1), Context: noContext}
		got, dropped := encodeAll(before, magma.MetricAndContext{Family: f, Context: c}, after)
		assert.Equal(t, []string{"before 1 1000", "after 1 1000"}, sampleLines(got))
		assert.Equal(t, 2, strings.Count(got, "# TYPE"), "no header without a sample")
		if f != nil && why != "empty_name" && why != "unknown_type" && c == noContext {
			assert.Equal(t, 1, dropped["missing_metric"], "the nil metric")
			delete(dropped, "missing_metric")
		}
		assert.Equal(t, map[string]int{why: samples}, dropped)
	}
	g := func(labels string) *dto.MetricFamily {
		return family(t, `name:"m" type:GAUGE metric:{`+labels+` gauge:{value:1}}`)
	}
	drop(g(`label:{name:"a" value:"x\000y"}`), noContext, 1, "invalid_label_value")
	drop(g(`label:{name:"a" value:"`+strings.Repeat("y", 8200)+`"}`), noContext, 1, "too_long")
	many := &strings.Builder{}
	for i := range 64 {
		fmt.Fprintf(many, `label:{name:"l%d" value:"1"} `, i)
	}
	drop(g(many.String()), noContext, 1, "too_many_labels")
	badValue := g(`label:{name:"a" value:"1"}`)
	badValue.Metric[0].Label[0].Value = proto.String("\xff")
	nan := family(t, `name:"m" type:HISTOGRAM metric:{histogram:{bucket:{}}}`)
	nan.Metric[0].Histogram.Bucket[0].UpperBound = proto.Float64(math.NaN())

	drop(nil, noContext, 1, "missing_metric")
	drop(family(t, `type:GAUGE metric:{gauge:{value:1}}`), noContext, 2, "empty_name")
	drop(&dto.MetricFamily{Name: proto.String("m"), Type: dto.MetricType(99).Enum()}, noContext, 1, "unknown_type")
	drop(family(t, `name:"m" type:COUNTER metric:{gauge:{value:1}}`), noContext, 1, "missing_value")
	drop(family(t, `name:"m" type:GAUGE metric:{}`), noContext, 1, "missing_value")
	drop(family(t, `name:"m" type:UNTYPED metric:{}`), noContext, 1, "missing_value")
	drop(family(t, `name:"m" type:SUMMARY metric:{}`), noContext, 1, "missing_value")
	drop(family(t, `name:"m" type:HISTOGRAM metric:{}`), noContext, 1, "missing_value")
	for _, nobody := range []magma.AdditionalMetricContext{
		&magma.GatewayMetricContext{NetworkID: "n"}, &magma.GatewayMetricContext{GatewayID: "g"}, &magma.CloudMetricContext{}, &magma.PushedMetricContext{},
	} {
		c := magma.MetricContext{AdditionalContext: nobody}
		label := sourceOf(nobody).set
		for _, l := range label {
			if l.name != "" && l.value == "" {
				f := g(`label:{name:"` + l.name + `" value:"own"}`)
				f.Metric[0].Label = append(f.Metric[0].Label, &dto.LabelPair{Name: proto.String("a")})
				got, dropped := encodeAll(magma.MetricAndContext{Family: f, Context: c})
				assert.Empty(t, got, l.name)
				assert.Equal(t, map[string]int{"empty_context": 1}, dropped)
			}
		}
	}
	drop(nan, noContext, 4, "invalid_bound")
	drop(g(`label:{name:"0a" value:"1"}`), noContext, 1, "invalid_label_name")
	drop(g(`label:{name:"a-b" value:"1"}`), noContext, 1, "invalid_label_name")
	drop(g(`label:{name:"" value:"1"}`), noContext, 1, "invalid_label_name")
	drop(g(`label:{name:"__name__" value:"x"}`), noContext, 1, "invalid_label_name")
	drop(g(`label:{name:"a" value:"1"} label:{name:"b" value:"2"} label:{name:"a" value:"3"}`), noContext, 1, "duplicate_label")
	drop(g(`label:{name:"a" value:""} label:{name:"a" value:"3"}`), noContext, 1, "duplicate_label")
	drop(badValue, noContext, 1, "invalid_label_value")
	drop(g(``), magma.MetricContext{AdditionalContext: &magma.CloudMetricContext{CloudHost: "\xff"}}, 2, "invalid_label_value")
	drop(family(t, `name:"m" type:HISTOGRAM metric:{label:{name:"le" value:"1"} histogram:{bucket:{upper_bound:1}}}`), noContext, 4, "reserved_label")
	drop(family(t, `name:"m" type:SUMMARY metric:{label:{name:"quantile" value:"1"} summary:{quantile:{quantile:0.5}}}`), noContext, 3, "reserved_label")
}

func TestTimestamps(t *testing.T) {
	stamp := func(field, want string) {
		t.Helper()
		got, _ := encodeAll(magma.MetricAndContext{Family: family(t, `name:"m" type:GAUGE metric:{`+field+` gauge:{value:1}}`), Context: noContext})
		assert.Equal(t, []string{"m 1 " + want}, sampleLines(got))
	}
	stamp(``, "1000")
	stamp(`timestamp_ms:0`, "1000")
	stamp(`timestamp_ms:1700000000123`, "1700000000123")
	stamp(`timestamp_ms:-5`, "-5")
}

func TestSourceKey(t *testing.T) {
	key := func(c magma.AdditionalMetricContext, want string) {
		t.Helper()
		src := sourceOf(c)
		assert.Equal(t, want, src.key)
		assert.Equal(t, want, keyOf(c))
	}
	key(nil, "")
	key(&magma.GatewayMetricContext{NetworkID: "n", GatewayID: "g"}, "g")
	key(&magma.GatewayMetricContext{NetworkID: "n"}, "")
	key((*magma.GatewayMetricContext)(nil), "")
	key(&magma.CloudMetricContext{CloudHost: "h"}, "")
	key(&magma.PushedMetricContext{NetworkID: "n"}, "")
	key(&KeyContext{Key: "k"}, "k")
	key((*KeyContext)(nil), "")
}

// Whatever is submitted, a hub can read what is sent: it would refuse all of a
// gateway's samples for one line.
func TestHubsReadWhatIsSent(t *testing.T) {
	texts := []string{"", "plain", "\x00", "a\nb\\c\"d", "\xff", strings.Repeat("µ", 600), strings.Repeat("\\", 5000), strings.Repeat("x", 20_000)}
	for _, name := range append(texts[1:], "le", "{}", "# TYPE") {
		for _, text := range texts {
			f := gaugeFamily("m", 1)
			f.Help, f.Name = proto.String(text), proto.String(name)
			f.Metric[0].Label = append(f.Metric[0].Label, &dto.LabelPair{Name: proto.String("a"), Value: proto.String(text)})
			got, _ := encodeAll(magma.MetricAndContext{Family: f, Context: gw}, magma.MetricAndContext{Family: gaugeFamily("beside", 1), Context: gw})
			assert.Contains(t, got, `beside{gatewayID="g",networkID="n"} 1 1000`)
			var s exposition.Scanner
			s.Reset([]byte(got))
			for kind := s.Next(0); kind != exposition.End; kind = s.Next(0) {
				assert.LessOrEqual(t, len(s.Spelling()), exposition.DefaultLimits.SeriesBytes)
				if kind == exposition.Sample {
					_, err := exposition.NewSeriesParser(exposition.DefaultLimits).Parse(s.Spelling())
					assert.NoError(t, err)
				}
			}
			assert.NoError(t, s.Err())
		}
	}
}
