package load

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/snappy"
	"google.golang.org/protobuf/encoding/protowire"
)

// Format is how a fleet's reports are written for a server that takes another protocol than text at /metrics. Requests are written anew each time.
type Format struct {
	Path   string
	Header string // of HTTP, lines that end in \r\n
	Calls  string // address of a port for gRPC, by which it is sent then
	encode func(dst []byte, r *reported, ms int64) []byte
}

// At is the format at another path.
func (f Format) At(path string) *Format {
	f.Path = path
	return &f
}

// CallsAt is the format at a port for gRPC.
func (f Format) CallsAt(address string) *Format {
	f.Calls = address
	return &f
}

// The formats.
var (
	Protobuf = Format{
		Path:   "/metrics",
		Header: "Content-Type: application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited\r\n",
		encode: appendFamilies,
	}
	OpenMetrics = Format{
		Path: "/metrics", Header: "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n",
		encode: appendOpenMetrics,
	}
	RemoteWrite1 = Format{
		Path:   "/api/v1/write",
		Header: "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 0.1.0\r\n",
		encode: func(dst []byte, r *reported, ms int64) []byte {
			return snappy.Encode(dst, appendWriteRequest(nil, r, ms))
		},
	}
	RemoteWrite2 = Format{
		Path:   "/api/v1/write",
		Header: "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\nContent-Encoding: snappy\r\nX-Prometheus-Remote-Write-Version: 2.0.0\r\n",
		encode: func(dst []byte, r *reported, ms int64) []byte { return snappy.Encode(dst, appendWriteRequest2(r, ms)) },
	}
	Collect = Format{
		Path: "/grpc.MetricsController/Collect",
		encode: func(dst []byte, r *reported, ms int64) []byte {
			dst = append(dst, make([]byte, 5)...)
			for i := range r.families {
				dst = message(dst, 1, appendFamily(nil, &r.families[i], ms))
			}
			binary.BigEndian.PutUint32(dst[1:], uint32(len(dst)-5))
			return dst
		},
	}
	OTLP = Format{
		Path: "/v1/metrics", Header: "Content-Type: application/x-protobuf\r\n",
		encode: appendExport,
	}
)

// reported is what a push reports.
type reported struct{ families []reportedFamily }

type reportedFamily struct {
	family
	gateways []string
	place    int
}

// value is that of a series at a time: it changes each millisecond.
func (f *reportedFamily) value(n int, ms int64) float64 {
	return float64(1_000_000 + f.place*7919 + (int(ms)+n)%1000)
}

func (f *reportedFamily) labels(gateway, service string) []string {
	return []string{"gatewayID", gateway, "networkID", "net1", "service", service}
}

// report is what the gateways first to first+count-1 report.
func (s Shape) report(first, count int) *reported {
	r := &reported{}
	var gateways []string
	for g := first; g < first+count; g++ {
		gateways = append(gateways, fmt.Sprintf("gw%0*d", gatewayDigits, g))
	}
	for i, left := 0, s.SeriesEach; left > 0; i++ {
		f := familyOf(i, left)
		left -= len(f.services)
		r.families = append(r.families, reportedFamily{f, gateways, i})
	}
	return r
}

// formatted prepares a push that is written anew each time.
func (s Shape) formatted(host string, first, count int) *Push {
	r, f := s.report(first, count), s.Format
	p := &Push{Samples: count * s.SeriesEach, count: count}
	var body []byte
	p.write = func(ms int64) {
		body = f.encode(body[:0], r, ms)
		if f.Calls != "" {
			p.request = append(p.request[:0], body...)
			return
		}
		p.request = fmt.Appendf(p.request[:0], "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n", f.Path, host, f.Header, len(body))
		p.head = len(p.request)
		p.request = append(p.request, body...)
	}
	return p
}

// each calls do for each series of a family.
func (f *reportedFamily) each(do func(n int, gateway, service string)) {
	n := 0
	for _, gateway := range f.gateways {
		for _, service := range f.services {
			do(n, gateway, service)
			n++
		}
	}
}

// message appends a field that is a message, or bytes.
func message(dst []byte, field protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), content)
}

func text(dst []byte, field protowire.Number, content string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), content)
}

func number(dst []byte, field protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), n)
}

func double(dst []byte, field protowire.Number, v float64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, field, protowire.Fixed64Type), math.Float64bits(v))
}

// appendFamilies writes metric families, each behind its length.
func appendFamilies(dst []byte, r *reported, ms int64) []byte {
	for i := range r.families {
		dst = protowire.AppendBytes(dst, appendFamily(nil, &r.families[i], ms))
	}
	return dst
}

func appendFamily(dst []byte, f *reportedFamily, ms int64) []byte {
	dst = text(dst, 1, f.name)
	kind, value := uint64(1), protowire.Number(2) // a gauge
	if f.kind == "counter" {
		kind, value = 0, 3
	}
	dst = number(dst, 3, kind)
	f.each(func(n int, gateway, service string) {
		var metric []byte
		for pair := range slices.Chunk(f.labels(gateway, service), 2) {
			metric = message(metric, 1, text(text(nil, 1, pair[0]), 2, pair[1]))
		}
		metric = message(metric, value, double(nil, 1, f.value(n, ms)))
		dst = message(dst, 4, number(metric, 6, uint64(ms)))
	})
	return dst
}

// appendOpenMetrics writes OpenMetrics. A counter has its suffix there, or is of unknown type.
func appendOpenMetrics(dst []byte, r *reported, ms int64) []byte {
	for i := range r.families {
		f := &r.families[i]
		name, kind := f.name, f.kind
		if kind == "counter" {
			var ok bool
			if name, ok = strings.CutSuffix(name, "_total"); !ok {
				kind = "unknown"
			}
		}
		dst = fmt.Appendf(dst, "# TYPE %s %s\n", name, kind)
		f.each(func(n int, gateway, service string) {
			dst = append(dst, f.name...)
			for at, pair := range slices.Collect(slices.Chunk(f.labels(gateway, service), 2)) {
				dst = fmt.Appendf(dst, `%c%s="%s"`, "{,"[min(at, 1)], pair[0], pair[1])
			}
			dst = strconv.AppendFloat(append(dst, "} "...), f.value(n, ms), 'f', -1, 64)
			dst = fmt.Appendf(dst, " %d.%03d\n", ms/1000, ms%1000)
		})
	}
	return append(dst, "# EOF\n"...)
}

// appendWriteRequest writes a request of remote write 1.0, a series for each sample.
func appendWriteRequest(dst []byte, r *reported, ms int64) []byte {
	var series, pair []byte
	for i := range r.families {
		f := &r.families[i]
		f.each(func(n int, gateway, service string) {
			series = message(series[:0], 1, text(text(pair[:0], 1, "__name__"), 2, f.name))
			for label := range slices.Chunk(f.labels(gateway, service), 2) {
				series = message(series, 1, text(text(pair[:0], 1, label[0]), 2, label[1]))
			}
			series = message(series, 2, number(double(pair[:0], 1, f.value(n, ms)), 2, uint64(ms)))
			dst = message(dst, 1, series)
		})
	}
	return dst
}

// appendWriteRequest2 writes a request of remote write 2.0.
func appendWriteRequest2(r *reported, ms int64) []byte {
	symbols, known := []string{""}, map[string]uint64{"": 0}
	symbol := func(s string) uint64 {
		n, ok := known[s]
		if !ok {
			n = uint64(len(symbols))
			known[s] = n
			symbols = append(symbols, s)
		}
		return n
	}
	var all, series, refs []byte
	for i := range r.families {
		f := &r.families[i]
		f.each(func(n int, gateway, service string) {
			refs = refs[:0]
			for _, s := range append([]string{"__name__", f.name}, f.labels(gateway, service)...) {
				refs = binary.AppendUvarint(refs, symbol(s))
			}
			series = message(series[:0], 1, refs)
			series = message(series, 2, number(double(nil, 1, f.value(n, ms)), 2, uint64(ms)))
			all = message(all, 5, message(series, 5, nil)) // Prometheus sends metadata, and nothing in it
		})
	}
	var dst []byte
	for _, s := range symbols {
		dst = text(dst, 4, s)
	}
	return append(dst, all...)
}

// appendExport writes a request of OTLP, each gateway a resource.
func appendExport(dst []byte, r *reported, ms int64) []byte {
	if len(r.families) == 0 {
		return dst
	}
	attribute := func(dst []byte, field protowire.Number, name, value string) []byte {
		return message(dst, field, message(text(nil, 1, name), 2, text(nil, 1, value)))
	}
	nanos := uint64(ms) * 1e6
	stamp := func(dst []byte, field protowire.Number, ns uint64) []byte {
		return protowire.AppendFixed64(protowire.AppendTag(dst, field, protowire.Fixed64Type), ns)
	}
	for at, gateway := range r.families[0].gateways {
		resource := attribute(attribute(attribute(nil, 1, "gatewayID", gateway), 1, "service.name", "gateway"), 1, "service.instance.id", gateway)
		var scope []byte
		for i := range r.families {
			f := &r.families[i]
			var points []byte
			for n, service := range f.services {
				point := attribute(attribute(nil, 7, "networkID", "net1"), 7, "service", service)
				point = double(stamp(stamp(point, 2, nanos-60e9), 3, nanos), 4, f.value(at*len(f.services)+n, ms))
				points = message(points, 1, point)
			}
			metric := text(nil, 1, f.name)
			if f.kind == "counter" {
				metric = message(metric, 7, number(number(points, 2, 2), 3, 1)) // a cumulative sum that only rises
			} else {
				metric = message(metric, 5, points)
			}
			scope = message(scope, 2, metric)
		}
		dst = message(dst, 1, message(message(nil, 1, resource), 2, scope))
	}
	return dst
}
