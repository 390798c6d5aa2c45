package edgehub

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hubring/hubring/edgehub/internal/samples"
)

// sent is a series of a request of remote write, with one sample whose time is said from base.
type sent struct {
	labels string // name, value, name, value, parted by blanks
	value  float64
	ms     int64
	start  int64 // since when it counts, by 2.0; 0 for not said
}

func field(dst []byte, n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), b)
}

// sample is a message of a value and a time, and a time of start if there is one.
func (s *sent) sample() (b []byte) {
	b = protowire.AppendFixed64(protowire.AppendTag(b, 1, protowire.Fixed64Type), math.Float64bits(s.value))
	b = protowire.AppendVarint(protowire.AppendTag(b, 2, protowire.VarintType), uint64(base+s.ms))
	if s.start != 0 {
		b = protowire.AppendVarint(protowire.AppendTag(b, 3, protowire.VarintType), uint64(base+s.start))
	}
	return b
}

// request1 is a message of 1.0.
func request1(series ...sent) (message []byte) {
	for _, s := range series {
		var b []byte
		for l := strings.Fields(s.labels); len(l) > 0; l = l[2:] {
			b = field(b, 1, field(field(nil, 1, []byte(l[0])), 2, []byte(l[1])))
		}
		message = field(message, 1, field(b, 2, s.sample()))
	}
	return message
}

// request2 is one of 2.0.
func request2(series ...sent) (message []byte) {
	symbols, list := map[string]uint64{}, []byte(nil)
	symbol := func(text string) uint64 {
		n, known := symbols[text]
		if !known {
			n = uint64(len(symbols))
			symbols[text], list = n, field(list, 4, []byte(text))
		}
		return n
	}
	symbol("")
	for _, s := range series {
		var refs []byte
		for _, text := range strings.Fields(s.labels) {
			refs = protowire.AppendVarint(refs, symbol(text))
		}
		message = field(message, 5, field(field(nil, 1, refs), 2, s.sample()))
	}
	return append(list, message...)
}

const (
	type1 = "application/x-protobuf"
	type2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
)

// write pushes a message by remote write, packed as Prometheus does.
func (s *server) write(contentType string, message []byte) (*http.Response, string) {
	s.t.Helper()
	return s.do("POST", "/api/v1/write", string(snappy.Encode(nil, message)), "Content-Type", contentType, "Content-Encoding", "snappy")
}

// wrote is what of a request of 2.0 is said to be stored: samples, histograms and exemplars.
func wrote(answer *http.Response) string {
	of := func(what string) string { return answer.Header.Get("X-Prometheus-Remote-Write-" + what + "-Written") }
	return of("Samples") + " " + of("Histograms") + " " + of("Exemplars")
}

// Requests as the senders make them that people have, each with what is there then.
func TestRemoteWrite(t *testing.T) {
	one := sent{labels: "__name__ x gatewayID gw job a", value: 1, ms: 1}
	v1, v2 := request1(one), request2(one)
	zipped, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	for name, c := range map[string]struct {
		body    []byte
		headers []string
		written string
	}{
		"Prometheus":                    {body: snappy.Encode(nil, v1), headers: []string{"Content-Type", type1, "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "0.1.0"}},
		"1.0 by its name":               {body: snappy.Encode(nil, v1), headers: []string{"Content-Type", type1 + "; proto=prometheus.WriteRequest", "Content-Encoding", "SNAPPY"}},
		"Prometheus, 2.0":               {body: snappy.Encode(nil, v2), written: "1 0 0", headers: []string{"Content-Type", type2, "Content-Encoding", "snappy", "X-Prometheus-Remote-Write-Version", "2.0.0"}},
		"vmagent":                       {body: zipped.EncodeAll(v1, nil), headers: []string{"Content-Type", type1, "Content-Encoding", "zstd", "X-VictoriaMetrics-Remote-Write-Version", "1"}},
		"npm's prometheus-remote-write": {body: snappy.Encode(nil, request1(sent{labels: "gatewayID gw __name__ x job a", value: 1, ms: 1})), headers: []string{"Content-Type", type1}},
		"Telegraf":                      {body: snappy.Encode(nil, v1), headers: []string{"Content-Type", "text/plain; charset=utf-8"}},
		"not packed, and of no type":    {body: v1},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, Config{})
			answer, text := s.do("POST", "/api/v1/write", string(c.body), c.headers...)
			require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
			assert.Empty(t, text)
			assert.Equal(t, c.written, strings.TrimSpace(wrote(answer)))
			assert.Equal(t, at(`x{gatewayID="gw",job="a"}`, 1, 1), s.scrape())
			s.says("edgehub_pushes_total 1", "edgehub_samples_received_total 1")
		})
	}
}

// Series late and out of order, some twice, and what ends.
func TestRemoteWriteOfManyTimes(t *testing.T) {
	s := serve(t, Config{})
	x, y := "__name__ x gatewayID gw", "__name__ y gatewayID gw"
	for _, message := range [][]byte{
		request1(sent{labels: x, value: 3, ms: 30}, sent{labels: x, value: 4, ms: 40}, sent{labels: y, value: 1, ms: 40}),
		request1(sent{labels: x, value: 1, ms: 10}, sent{labels: x, value: 2, ms: 20}),
		request1(sent{labels: x, value: samples.Marker(), ms: 50}),
	} {
		answer, text := s.write(type1, message)
		require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
	}
	var got []string
	for series, p := range s.Pending() {
		got = append(got, fmt.Sprintf("%s %x @%d", series, math.Float64bits(p.Value), p.Time-base))
	}
	assert.ElementsMatch(t, []string{
		`x{gatewayID="gw"} 3ff0000000000000 @10`, `x{gatewayID="gw"} 4000000000000000 @20`, `x{gatewayID="gw"} 4008000000000000 @30`,
		`x{gatewayID="gw"} 4010000000000000 @40`, `x{gatewayID="gw"} 7ff0000000000002 @50`, `y{gatewayID="gw"} 3ff0000000000000 @40`,
	}, got)
}

// What is amiss of a request is left out, named and counted; the rest is stored.
func TestRemoteWriteInPart(t *testing.T) {
	good, seconds := sent{labels: "__name__ x", value: 1, ms: 1}, sent{labels: "__name__ y a b", ms: 1_700_000_000 - base}
	twice, nameless, own := sent{labels: "__name__ z a b a c", ms: 1}, sent{labels: "a b", ms: 1}, sent{labels: "__name__ " + firstSample, ms: 1}
	for _, c := range []struct {
		contentType string
		request     func(...sent) []byte
		written     string
	}{{type1, request1, "  "}, {type2, request2, "2 0 0"}} {
		s := serve(t, Config{})
		answer, text := s.write(c.contentType, c.request(seconds, good, twice, nameless, own, sent{labels: "__name__ x", value: 2, ms: 2}))
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
		assert.Equal(t, "time_unit", answer.Header.Get("Hubring-Reason"))
		assert.Empty(t, answer.Header.Get("Retry-After"))
		assert.Equal(t, c.written, wrote(answer))
		assert.Equal(t, "4 of 6 samples are refused, the others are stored: "+
			`series 1: series "y{a=\"b\"}" has the time 1700000000; times are in milliseconds, this one looks like seconds; `+
			`series 3: series "z{a=\"b\",a=\"c\"}": label "a" is there twice; series 4: it has no label __name__; and 1 more`+"\n", text)
		assert.Equal(t, at("x", 1, 1)+at("x", 2, 2), s.scrape())
		s.says("edgehub_pushes_total 1", "edgehub_samples_received_total 2", `edgehub_samples_left_out_total{reason="time_unit"} 1`,
			`edgehub_samples_left_out_total{reason="malformed"} 2`, `edgehub_samples_left_out_total{reason="reserved_name"} 1`,
			`edgehub_pushes_rejected_total{reason="time_unit"} 0`)

		answer, text = s.write(c.contentType, c.request(nameless, seconds))
		assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
		assert.Contains(t, text, "2 of 2 samples are refused, nothing is stored: ")
		assert.Equal(t, strings.ReplaceAll(c.written, "2", "0"), wrote(answer))
		s.says("edgehub_pushes_total 1", `edgehub_samples_left_out_total{reason="time_unit"} 1`)
		s.rejected("malformed", 1, 2)
	}
}

// The time since when a sample counts takes a sample's place in the log, and none in what the sender is told.
func TestRemoteWriteOfStartTimes(t *testing.T) {
	s := serve(t, Config{})
	answer, text := s.write(type2, request2(sent{labels: "__name__ x", value: 1, ms: 5, start: 1}))
	require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
	assert.Equal(t, "1 0 0", wrote(answer))
	assert.Equal(t, at("x", 1, 5), s.scrape())
	s.says("edgehub_samples_received_total 2")
}

// Exemplars that come without a sample, as Prometheus sends them, go with the next one of their series, wherever in the log they stand.
func TestRemoteWriteOfExemplarsAlone(t *testing.T) {
	exemplar := func(id string, ms int64) []byte {
		e := field(nil, 1, field(field(nil, 1, []byte("trace_id")), 2, []byte(id)))
		e = protowire.AppendFixed64(protowire.AppendTag(e, 2, protowire.Fixed64Type), math.Float64bits(0.5))
		return protowire.AppendVarint(protowire.AppendTag(e, 3, protowire.VarintType), uint64(base+ms))
	}
	series := func(name string, exemplars ...[]byte) []byte {
		b := field(nil, 1, field(field(nil, 1, []byte("__name__")), 2, []byte(name)))
		for _, e := range exemplars {
			b = field(b, 3, e)
		}
		return b
	}
	s := serve(t, Config{})
	s.push("# TYPE x_total counter\n# TYPE y_total counter\n")
	for _, message := range [][]byte{
		request1(sent{labels: "__name__ x_total", value: 2, ms: 20}, sent{labels: "__name__ y_total", value: 1, ms: 1}),
		field(field(nil, 1, series("x_total", exemplar("before", 15), exemplar("behind", 25))), 1, series("z_total", exemplar("nobody's", 5))),
		request1(sent{labels: "__name__ x_total", value: 1, ms: 10}),
	} {
		answer, text := s.write(type1, message)
		require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
	}
	got := map[string]string{}
	for _, f := range s.scrapeWhole() {
		for _, m := range f.Metric {
			id := ""
			if e := m.GetCounter().GetExemplar(); e != nil {
				id = e.Label[0].GetValue()
				assert.InDelta(t, 0.5, e.GetValue(), 0)
			}
			got[fmt.Sprintf("%s@%d", f.GetName(), m.GetTimestampMs()-base)] = id
		}
	}
	assert.Equal(t, map[string]string{"x_total@10": "", "x_total@20": "behind", "y_total@1": ""}, got, "of two the last")
	s.confirm()
	s.says(`edgehub_extras_received_total{what="exemplar"} 3`, `edgehub_extras_left_out_total{what="exemplar"} 1`, `edgehub_extras_left_out_total{what="cut"} 1`)
	assert.Zero(t, s.Stats().Pending)

	message := field(request2(sent{labels: "__name__ x_total", ms: 30}), 5, field(field(nil, 1, []byte{1, 2}), 4, exemplar("of 2.0", 29)[len(field(nil, 1, field(field(nil, 1, []byte("trace_id")), 2, []byte("of 2.0")))):]))
	answer, text := s.write(type2, message)
	require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
	assert.Equal(t, "1 0 1", wrote(answer))
}

// Whatever may be taken later is answered 503, since Prometheus and the OpenTelemetry Collector drop what is answered 429; nothing of it is stored.
func TestRemoteWriteForWhichThereIsNoRoom(t *testing.T) {
	x := func(gateway string, n int) (all []sent) {
		for i := range n {
			all = append(all, sent{labels: fmt.Sprintf("__name__ x%d gatewayID %s", i, gateway), ms: int64(i)})
		}
		return all
	}
	for reason, c := range map[string]struct {
		cfg           Config
		before, after []sent
	}{
		"hub_full":       {Config{MaxSamples: 10}, x("a", 10), x("a", 1)},
		"series_limit":   {Config{MaxSeries: 2}, x("a", 2), x("b", 1)},
		"gateway_series": {Config{MaxGatewaySeries: 2}, x("a", 2), x("a", 3)},
		"table_bytes":    {Config{MaxTableBytes: 1000}, x("a", 2), x("b", 100)},
	} {
		for contentType, request := range map[string]func(...sent) []byte{type1: request1, type2: request2} {
			s := serve(t, c.cfg)
			answer, text := s.write(contentType, request(c.before...))
			require.Equal(t, http.StatusNoContent, answer.StatusCode, text)
			answer, text = s.write(contentType, request(c.after...))
			require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, "%s: %s", reason, text)
			assert.Equal(t, reason, answer.Header.Get("Hubring-Reason"))
			assert.Equal(t, "5", answer.Header.Get("Retry-After"))
			if contentType == type2 {
				assert.Equal(t, "0 0 0", wrote(answer))
			}
			s.says(fmt.Sprintf("edgehub_samples_received_total %d", len(c.before)))
			s.rejected(reason, 1, len(c.after))
		}
	}
}

// What is never taken is answered so that senders do not come again.
func TestRemoteWriteThatIsRefused(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 4000})
	small := request1(sent{labels: "__name__ x", ms: 1})
	large := request1(sent{labels: "__name__ x a " + strings.Repeat("y", 4000), ms: 1})
	many := request2(slices.Repeat([]sent{{labels: "__name__ x a " + strings.Repeat("y", 200), ms: 1}}, 100)...)
	for name, c := range map[string]struct {
		contentType, encoding string
		body                  []byte
		status                int
		reason, text          string
	}{
		"another type":         {"application/x-protobuf;proto=prometheus.v3", "snappy", small, 415, "content_type", `content type "application/x-protobuf;proto=prometheus.v3" is not supported; send application/x-protobuf, with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request`},
		"a form":               {"application/x-www-form-urlencoded", "", small, 415, "content_type", ""},
		"no type that one is":  {";;", "", small, 415, "content_type", ""},
		"another packing":      {type1, "br", small, 415, "encoding", `content encoding "br" is not supported; send snappy, as a block, zstd, gzip or none`},
		"no snappy":            {type1, "snappy", small, 400, "encoding", ""},
		"text":                 {"text/plain", "", []byte("x 1\n"), 400, "malformed", ""},
		"2.0 as 1.0":           {type1, "snappy", snappy.Encode(nil, request2(sent{labels: "__name__ x", ms: 1})), 400, "malformed", "the message seems to be of version 2.0; its Content-Type is application/x-protobuf;proto=io.prometheus.write.v2.Request"},
		"1.0 as 2.0":           {type2, "snappy", snappy.Encode(nil, small), 400, "malformed", "the message seems to be of version 1.0; its Content-Type is application/x-protobuf"},
		"too large once known": {type1, "snappy", snappy.Encode(nil, large), 413, "body_too_large", "the body is larger than 4000 bytes; send it in parts"},
		"too large":            {type1, "", large, 413, "body_too_large", ""},
		"too much text":        {type2, "snappy", snappy.Encode(nil, many), 413, "body_too_large", "the series of the request are too much text; send it in parts"},
	} {
		t.Run(name, func(t *testing.T) {
			answer, text := s.do("POST", "/api/v1/write", string(c.body), "Content-Type", c.contentType, "Content-Encoding", c.encoding)
			assert.Equal(t, c.status, answer.StatusCode, text)
			assert.Equal(t, c.reason, answer.Header.Get("Hubring-Reason"))
			assert.Empty(t, answer.Header.Get("Retry-After"))
			if c.text != "" {
				assert.Equal(t, c.text+"\n", text)
			}
		})
	}
	s.says("edgehub_samples_received_total 0")
}

// Too many refusals are a request that is refused.
func TestRemoteWriteOfNothingButMistakes(t *testing.T) {
	s := serve(t, Config{})
	message := append(request1(sent{labels: "__name__ x", ms: 1}), bytes.Repeat(request1(sent{labels: "a b", ms: 1}), 100_001)...)
	answer, text := s.write(type1, message)
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Equal(t, "malformed", answer.Header.Get("Hubring-Reason"))
	assert.Contains(t, text, "more than 100000 series or samples are amiss, so that nothing is stored: series 2: it has no label __name__; ")
	s.says("edgehub_samples_received_total 0")
}

// vmagent asks before its first request whether it may pack by zstd.
func TestVMAgentAsks(t *testing.T) {
	s := serve(t, Config{})
	answer, text := s.do("POST", "/api/v1/write?get_vm_proto_version=1", "", "User-Agent", "vmagent")
	assert.Equal(t, http.StatusOK, answer.StatusCode)
	assert.Equal(t, "1", text)
	s.says("edgehub_pushes_total 0")
}

// The other port, and a hub without remote write, take none; nobody is sent elsewhere.
func TestRemoteWriteElsewhere(t *testing.T) {
	s := serve(t, Config{})
	scrapes := s.behindDoor(s.ScrapeServer())
	answer, text := scrapes.write(type1, nil)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
	assert.Equal(t, "this port gives and shows samples; remote write goes to the port of --web.listen-address\n", text)
	for _, path := range []string{"/api/v1/write/", "//api/v1/write"} {
		answer, _ = s.do("POST", path, "")
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, path)
	}
	answer, _ = serve(t, Config{NoRemoteWrite: true}).write(type1, nil)
	assert.Equal(t, http.StatusNotFound, answer.StatusCode)
}

// A native histogram that a Prometheus would refuse a whole scrape for is left out, with its reason, and what is beside it is scraped.
func TestRemoteWriteOfHistogramsThatAreNone(t *testing.T) {
	one := func(change func(*sentHistogram)) []byte {
		h := sentHistogram{count: 3, spans: []int{0, 2}, deltas: []int64{1, 0}, zero: 1, ms: 1}
		if change != nil {
			change(&h)
		}
		return h.message()
	}
	for name, c := range map[string]struct {
		change func(*sentHistogram)
		why    string
	}{
		"more buckets than spans": {func(h *sentHistogram) { h.deltas = append(h.deltas, -1) }, "has spans that do not fit its buckets"},
		"fewer buckets":           {func(h *sentHistogram) { h.deltas = h.deltas[:1] }, "has spans that do not fit its buckets"},
		"no spans":                {func(h *sentHistogram) { h.spans = nil }, "has spans that do not fit its buckets"},
		"spans that overlap":      {func(h *sentHistogram) { h.spans = []int{0, 1, -1, 1} }, "has spans that do not fit its buckets"},
		"a count of others":       {func(h *sentHistogram) { h.count = 4 }, "has counts that do not add up"},
		"a bucket below nothing":  {func(h *sentHistogram) { h.count, h.deltas = 1, []int64{1, -2} }, "has counts that do not add up"},
		"a width below nothing":   {func(h *sentHistogram) { h.width = -1 }, "has a zero bucket of a width below 0"},
		"an unknown schema":       {func(h *sentHistogram) { h.schema = 9 }, "has the schema 9; -4 to 8 are known"},
		"custom buckets":          {func(h *sentHistogram) { h.schema = -53 }, "has custom buckets, which a scrape by protobuf cannot carry"},
	} {
		t.Run(name, func(t *testing.T) {
			for contentType, request := range map[string]func(string, ...[]byte) []byte{type1: histograms1, type2: histograms2} {
				s := serve(t, Config{})
				answer, text := s.write(contentType, request("b", one(c.change), one(nil)))
				assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
				assert.Contains(t, text, "1 of 2 samples are refused, the others are stored: ")
				assert.Contains(t, text, c.why)
				if contentType == type2 {
					assert.Equal(t, "0 1 0", wrote(answer))
				}
				families := s.scrapeWhole()
				require.Len(t, families, 1)
				require.Len(t, families[0].Metric, 1)
				assert.Equal(t, []int64{1, 0}, families[0].Metric[0].Histogram.PositiveDelta)

				answer, text = s.write(contentType, request("b", one(c.change)))
				assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
				assert.Contains(t, text, "nothing is stored")
				s.rejected(answer.Header.Get("Hubring-Reason"), 1, 1)
				s.says(`edgehub_extras_received_total{what="native_histogram"} 1`, fmt.Sprintf(`edgehub_samples_left_out_total{reason=%q} 1`, answer.Header.Get("Hubring-Reason")))
			}
		})
	}
}

// sentHistogram is a native histogram of remote write, which is the same message in both versions.
type sentHistogram struct {
	count  uint64
	schema int64
	width  float64
	zero   uint64
	spans  []int // offset, length, offset, length
	deltas []int64
	ms     int64 // from base
}

func (h *sentHistogram) message() (b []byte) {
	number := func(dst []byte, n protowire.Number, v uint64) []byte {
		return protowire.AppendVarint(protowire.AppendTag(dst, n, protowire.VarintType), v)
	}
	b = number(b, 1, h.count)
	b = number(b, 4, protowire.EncodeZigZag(h.schema))
	b = protowire.AppendFixed64(protowire.AppendTag(b, 5, protowire.Fixed64Type), math.Float64bits(h.width))
	b = number(b, 6, h.zero)
	for s := h.spans; len(s) > 0; s = s[2:] {
		b = field(b, 11, number(number(nil, 1, protowire.EncodeZigZag(int64(s[0]))), 2, uint64(s[1])))
	}
	var deltas []byte
	for _, d := range h.deltas {
		deltas = protowire.AppendVarint(deltas, protowire.EncodeZigZag(d))
	}
	return number(field(b, 12, deltas), 15, uint64(base+h.ms))
}

// histograms1 is a request of 1.0, of one series with histograms.
func histograms1(name string, histograms ...[]byte) []byte {
	b := field(nil, 1, field(field(nil, 1, []byte("__name__")), 2, []byte(name)))
	for _, h := range histograms {
		b = field(b, 4, h)
	}
	return field(nil, 1, b)
}

// histograms2 is one of 2.0.
func histograms2(name string, histograms ...[]byte) []byte {
	b := field(nil, 1, []byte{1, 2})
	for _, h := range histograms {
		b = field(b, 3, h)
	}
	message := field(nil, 5, b)
	for _, symbol := range []string{"", "__name__", name} {
		message = field(message, 4, []byte(symbol))
	}
	return message
}
