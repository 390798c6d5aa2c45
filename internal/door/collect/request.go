package collect

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Family is a family of a request, and whose it is.
type Family struct {
	Message []byte // an io.prometheus.client.MetricFamily; valid until the next one
	Origin  Origin
}

// Origin is where a family comes from. What a request does not say is empty.
type Origin struct {
	Kind                        Kind
	Gateway, Network, CloudHost string
}

// Kind is what a family comes from.
type Kind int

// The kinds, as Magma tells them apart.
const (
	Unknown Kind = iota
	Gateway
	Cloud  // a host of the orchestrator
	Pushed // by somebody who pushes to the orchestrator
)

// reader calls each with the families of a request, in order, until it fails.
type reader func(request []byte, each func(Family) error) error

var readers = map[string]reader{
	EdgeHub:       readFamilies,
	MagmaCollect:  readContainer,
	MagmaPush:     readPushed,
	MagmaSubmit:   readSubmitted,
	MagmaSubmitV0: readSubmitted,
}

// Methods that may be served.
const (
	EdgeHub       = "/grpc.MetricsController/Collect"              // of prometheus-edge-hub
	MagmaCollect  = "/magma.orc8r.MetricsController/Collect"       // gateways to metricsd
	MagmaPush     = "/magma.orc8r.MetricsController/Push"          // REST to metricsd
	MagmaSubmit   = "/magma.orc8r.metricsd.MetricsExporter/Submit" // metricsd to an exporter
	MagmaSubmitV0 = "/magma.orc8r.MetricsExporter/Submit"          // likewise, some releases ago
)

// readFamilies reads grpc.MetricFamilies.
func readFamilies(request []byte, each func(Family) error) error {
	return numbered(request, 1, func(family []byte) error { return each(Family{Message: family}) })
}

// readContainer reads magma.orc8r.MetricsContainer.
func readContainer(request []byte, each func(Family) error) error {
	from := Origin{Kind: Gateway}
	if err := eachField(request, texts{1: &from.Gateway}.read); err != nil {
		return err
	}
	return numbered(request, 2, func(family []byte) error { return each(Family{family, from}) })
}

// readPushed reads magma.orc8r.PushedMetricsContainer. Its metrics are gauges, as in Magma.
func readPushed(request []byte, each func(Family) error) error {
	from := Origin{Kind: Pushed}
	if err := eachField(request, texts{1: &from.Network}.read); err != nil {
		return err
	}
	var gauge gauge
	return numbered(request, 2, func(metric []byte) error {
		if err := gauge.read(metric); err != nil {
			return err
		}
		return each(Family{gauge.family(), from})
	})
}

// readSubmitted reads magma.orc8r.metricsd.SubmitMetricsRequest, whose numbers are those of magma.orc8r.SubmitMetricsRequest.
func readSubmitted(request []byte, each func(Family) error) error {
	return numbered(request, 1, func(metric []byte) error {
		var f Family
		err := eachField(metric, func(field protowire.Number, kind protowire.Type, value []byte, _ uint64) error {
			switch {
			case field == 1 && kind == protowire.BytesType && f.Message == nil:
				f.Message = value
			case field == 1 && kind == protowire.BytesType: // two parts of a message are one
				f.Message = append(slices.Clip(f.Message), value...)
			case field == 2 && kind == protowire.BytesType:
				return f.Origin.read(value)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return each(f)
	})
}

// read reads a context of a submitted family. Of several origins the last one counts.
func (o *Origin) read(context []byte) error {
	return eachField(context, func(field protowire.Number, kind protowire.Type, value []byte, _ uint64) error {
		if kind != protowire.BytesType {
			return nil
		}
		switch int(field) {
		case 2:
			*o = Origin{Kind: Cloud, CloudHost: o.CloudHost}
			return eachField(value, texts{1: &o.CloudHost}.read)
		case 3:
			*o = Origin{Kind: Gateway, Gateway: o.Gateway, Network: o.Network}
			return eachField(value, texts{1: &o.Network, 2: &o.Gateway}.read)
		case 4:
			*o = Origin{Kind: Pushed, Network: o.Network}
			return eachField(value, texts{1: &o.Network}.read)
		}
		return nil
	})
}

// gauge is a magma.orc8r.PushedMetric.
type gauge struct {
	name, labels []byte // the labels as those of a Metric
	value        float64
	ms           int64

	metric, message []byte // written over by the next one
}

func (g *gauge) read(pushed []byte) error {
	g.name, g.labels, g.value, g.ms = nil, g.labels[:0], 0, 0
	return eachField(pushed, func(field protowire.Number, kind protowire.Type, value []byte, number uint64) error {
		switch {
		case field == 1 && kind == protowire.BytesType:
			g.name = value
		case field == 2 && kind == protowire.Fixed64Type:
			g.value = math.Float64frombits(number)
		case field == 3 && kind == protowire.VarintType:
			g.ms = int64(number)
		case field == 4 && kind == protowire.BytesType: // a name and a value, with the same numbers
			g.labels = protowire.AppendTag(g.labels, 1, protowire.BytesType)
			g.labels = protowire.AppendBytes(g.labels, value)
		}
		return nil
	})
}

// family is the gauge as an io.prometheus.client.MetricFamily. Without a time it has none.
func (g *gauge) family() []byte {
	const gaugeSize = 1 + 8
	g.metric = append(g.metric[:0], g.labels...)
	g.metric = protowire.AppendTag(g.metric, 2, protowire.BytesType)
	g.metric = protowire.AppendVarint(g.metric, gaugeSize)
	g.metric = protowire.AppendTag(g.metric, 1, protowire.Fixed64Type)
	g.metric = protowire.AppendFixed64(g.metric, math.Float64bits(g.value))
	if g.ms != 0 {
		g.metric = protowire.AppendTag(g.metric, 6, protowire.VarintType)
		g.metric = protowire.AppendVarint(g.metric, uint64(g.ms))
	}
	g.message = protowire.AppendTag(g.message[:0], 1, protowire.BytesType)
	g.message = protowire.AppendBytes(g.message, g.name)
	g.message = protowire.AppendTag(g.message, 3, protowire.VarintType)
	g.message = protowire.AppendVarint(g.message, 1) // a gauge
	g.message = protowire.AppendTag(g.message, 4, protowire.BytesType)
	g.message = protowire.AppendBytes(g.message, g.metric)
	return g.message
}

// errWire says that a request is no protobuf.
var errWire = errors.New("the request is no message in protobuf")

// texts are fields that are strings, by number.
type texts [3]*string

func (t texts) read(field protowire.Number, kind protowire.Type, value []byte, _ uint64) error {
	if int(field) >= len(t) || t[field] == nil || kind != protowire.BytesType {
		return nil
	}
	if !utf8.Valid(value) {
		return fmt.Errorf("%.100q is not in UTF-8", value)
	}
	*t[field] = string(value)
	return nil
}

// numbered calls f with each message of a repeated field, and has its number in front of an error.
func numbered(message []byte, number protowire.Number, f func(element []byte) error) error {
	n := 0
	return eachField(message, func(field protowire.Number, kind protowire.Type, value []byte, _ uint64) error {
		if field != number || kind != protowire.BytesType {
			return nil
		}
		n++
		if err := f(value); err != nil {
			return fmt.Errorf("family %d of the request: %w", n, err)
		}
		return nil
	})
}

// eachField calls f with each field of a message: with its bytes, or its number.
func eachField(message []byte, f func(field protowire.Number, kind protowire.Type, value []byte, number uint64) error) error {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return errWire
		}
		message = message[n:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, n = protowire.ConsumeBytes(message)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(message)
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(message)
		default: // nothing that is read here
			n = protowire.ConsumeFieldValue(field, kind, message)
		}
		if n < 0 {
			return errWire
		}
		message = message[n:]
		if err := f(field, kind, value, number); err != nil {
			return err
		}
	}
	return nil
}
