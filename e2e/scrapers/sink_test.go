package scrapers

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// sink is the far end of scrapers that store nothing: they send what they took to
// /write as remote write, to /v1/metrics as OTLP in JSON, or to /telegraf as Telegraf's
// JSON.
type sink struct {
	url string

	mu  sync.Mutex
	got arrivals
	err error // the first one
}

// point is a sample with labels, as it came.
type point struct {
	labels map[string]string // with __name__
	at     int64
	value  float64
}

// startSink starts a sink that ends with the test.
func startSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /write", s.taking(remoteWrite))
	mux.HandleFunc("POST /v1/metrics", s.taking(otlp))
	mux.HandleFunc("POST /telegraf", s.taking(telegraf))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// received returns what came so far.
func (s *sink) received(context.Context) (arrivals, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return arrivals{values: maps.Clone(s.got.values), total: s.got.total}, s.err
}

// taking handles requests of a format.
func (s *sink) taking(read func([]byte) ([]point, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		points, err := decoded(r, read)
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, p := range points {
			if p.labels["__name__"] != name {
				continue // what scrapers add
			}
			if err2 := s.got.add(sample{p.labels["gatewayID"], p.labels["n"], p.at}, p.value); err == nil {
				err = err2
			}
		}
		if err != nil && s.err == nil {
			s.err = fmt.Errorf("%s: %w", r.URL.Path, err)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, "{}")
	}
}

func decoded(r *http.Request, read func([]byte) ([]point, error)) ([]point, error) {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		unzipped, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		body = unzipped
	}
	content, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	return read(content)
}

// remoteWrite reads a request of remote write 1.0: a WriteRequest, whose field 1 is a
// series.
func remoteWrite(content []byte) ([]point, error) {
	if len(content) == 0 {
		return nil, nil // vmagent asks what it may send
	}
	content, err := snappy.Decode(nil, content)
	if err != nil {
		return nil, err
	}
	var all []point
	err = fields(content, func(f field) error {
		if f.number != 1 {
			return nil
		}
		points, err := timeSeries(f.bytes)
		all = append(all, points...)
		return err
	})
	return all, err
}

// timeSeries reads a series: labels are its field 1, samples its field 2. A stale marker
// is none.
func timeSeries(message []byte) ([]point, error) {
	labels := map[string]string{}
	var points []point
	err := fields(message, func(f field) error {
		var name, value string
		p := point{labels: labels}
		err := fields(f.bytes, func(in field) error {
			switch [2]int{f.number, in.number} {
			case [2]int{1, 1}:
				name = string(in.bytes)
			case [2]int{1, 2}:
				value = string(in.bytes)
			case [2]int{2, 1}:
				p.value = math.Float64frombits(in.n)
			case [2]int{2, 2}:
				p.at = int64(in.n)
			}
			return nil
		})
		switch {
		case f.number == 1:
			labels[name] = value
		case f.number == 2 && !math.IsNaN(p.value):
			points = append(points, p)
		}
		return err
	})
	return points, err
}

// field is one of a protobuf message: of bytes, or a number.
type field struct {
	number int
	bytes  []byte
	n      uint64
}

// fields goes through the fields of a message.
func fields(message []byte, each func(field) error) error {
	for len(message) > 0 {
		number, kind, length := protowire.ConsumeTag(message)
		if length < 0 {
			return protowire.ParseError(length)
		}
		message = message[length:]
		f := field{number: int(number)}
		switch kind {
		case protowire.BytesType:
			f.bytes, length = protowire.ConsumeBytes(message)
		case protowire.VarintType:
			f.n, length = protowire.ConsumeVarint(message)
		case protowire.Fixed64Type:
			f.n, length = protowire.ConsumeFixed64(message)
		default:
			length = protowire.ConsumeFieldValue(number, kind, message)
		}
		if length < 0 {
			return protowire.ParseError(length)
		}
		if err := each(f); err != nil {
			return err
		}
		message = message[length:]
	}
	return nil
}

// otlp reads an ExportMetricsServiceRequest in JSON, of which gauges are enough.
func otlp(content []byte) ([]point, error) {
	var request struct {
		ResourceMetrics []struct {
			ScopeMetrics []struct {
				Metrics []struct {
					Name  string
					Gauge struct {
						DataPoints []struct {
							Attributes []struct {
								Key   string
								Value struct{ StringValue string }
							}
							TimeUnixNano string
							AsDouble     *float64
						}
					}
				}
			}
		}
	}
	if err := json.Unmarshal(content, &request); err != nil {
		return nil, err
	}
	var all []point
	for _, resource := range request.ResourceMetrics {
		for _, scope := range resource.ScopeMetrics {
			for _, metric := range scope.Metrics {
				for _, d := range metric.Gauge.DataPoints {
					if d.AsDouble == nil {
						continue // a stale marker
					}
					nanos, err := strconv.ParseInt(d.TimeUnixNano, 10, 64)
					if err != nil {
						return nil, err
					}
					p := point{labels: map[string]string{"__name__": metric.Name}, at: nanos / 1e6, value: *d.AsDouble}
					for _, a := range d.Attributes {
						p.labels[a.Key] = a.Value.StringValue
					}
					all = append(all, p)
				}
			}
		}
	}
	return all, nil
}

// telegraf reads a batch of Telegraf's JSON with times in milliseconds. A field is called
// as the metric.
func telegraf(content []byte) ([]point, error) {
	var batch struct {
		Metrics []struct {
			Fields    map[string]any
			Tags      map[string]string
			Timestamp int64
		}
	}
	if err := json.Unmarshal(content, &batch); err != nil {
		return nil, err
	}
	var all []point
	for _, m := range batch.Metrics {
		for field, value := range m.Fields {
			number, ok := value.(float64)
			if !ok {
				continue
			}
			p := point{labels: maps.Clone(m.Tags), at: m.Timestamp, value: number}
			if p.labels == nil {
				p.labels = map[string]string{}
			}
			p.labels["__name__"] = field
			all = append(all, p)
		}
	}
	return all, nil
}

func TestRemoteWriteIsRead(t *testing.T) {
	message := func(parts ...[]byte) []byte {
		var out []byte
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	bytesField := func(number protowire.Number, value []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), value)
	}
	label := func(name, value string) []byte {
		return bytesField(1, message(bytesField(1, []byte(name)), bytesField(2, []byte(value))))
	}
	value := protowire.AppendFixed64(protowire.AppendTag(nil, 1, protowire.Fixed64Type), math.Float64bits(2.5))
	at := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), 1234)
	series := message(label("__name__", "pushed"), label("n", "7"), bytesField(2, message(value, at)))
	got, err := remoteWrite(snappy.Encode(nil, bytesField(1, series)))
	require.NoError(t, err)
	require.Equal(t, []point{{map[string]string{"__name__": "pushed", "n": "7"}, 1234, 2.5}}, got)
}
