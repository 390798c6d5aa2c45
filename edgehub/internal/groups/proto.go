package groups

import (
	"bufio"
	"io"
	"math"
	"strconv"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// messageMetrics is how many metrics a message has at most, so that what is written needs no
// memory for all of a family.
const messageMetrics = 1000

// Proto writes the families as delimited protobuf. Classic histograms whose counts do not add up are
// written as series without a type: a Prometheus that converts histograms would refuse the whole
// scrape for one.
func (v *View) Proto(out io.Writer) error {
	w := bufio.NewWriterSize(out, flushBytes)
	for _, f := range v.families {
		loose := looseParts{}
		message := f.message(nil)
		write := func(least int) error {
			if len(message.Metric) < least {
				return nil
			}
			_, err := protodelim.MarshalTo(w, message)
			message.Metric = message.Metric[:0]
			return err
		}
		for _, part := range f.parts {
			for _, m := range part.Metrics {
				if m.Histogram != nil && !addsUp(m.Histogram) {
					loose.add(f.Name, m)
					continue
				}
				message.Metric = append(message.Metric, m)
				if err := write(messageMetrics); err != nil {
					return err
				}
			}
		}
		if err := write(1); err != nil {
			return err
		}
		for _, suffix := range suffixes(dto.MetricType_HISTOGRAM) {
			if m := loose[suffix]; m != nil {
				if _, err := protodelim.MarshalTo(w, m); err != nil {
					return err
				}
			}
		}
	}
	return w.Flush()
}

// addsUp says whether the buckets of a histogram do not fall, and the last one has all that it observed.
func addsUp(h *dto.Histogram) bool {
	below, count := 0.0, countOf(h.GetSampleCount(), h.GetSampleCountFloat())
	for _, b := range h.Bucket {
		v := countOf(b.GetCumulativeCount(), b.GetCumulativeCountFloat())
		if v < below {
			return false
		}
		below = v
		if math.IsInf(b.GetUpperBound(), 1) && v != count {
			return false
		}
	}
	return below <= count
}

// looseParts are series of histograms as families of their own, by the ends of their names.
type looseParts map[string]*dto.MetricFamily

func (p looseParts) add(name string, m *dto.Metric) {
	eachPart(m.Histogram, func(suffix string, bound, value float64) {
		labels := m.Label
		if suffix == "_bucket" {
			labels = append(labels[:len(labels):len(labels)], &dto.LabelPair{Name: proto.String(bucketLabel), Value: proto.String(spelled(bound))})
		}
		f := p[suffix]
		if f == nil {
			f = &dto.MetricFamily{Name: proto.String(name + suffix), Type: dto.MetricType_UNTYPED.Enum()}
			p[suffix] = f
		}
		f.Metric = append(f.Metric, &dto.Metric{Label: labels, Untyped: &dto.Untyped{Value: &value}})
	})
}

// shortest is a bound as Prometheus' libraries spell it.
func shortest(v float64) string {
	if math.IsInf(v, 1) {
		return "+Inf"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

// spelled is a bound as Prometheus 3 spells it.
func spelled(v float64) string {
	text := shortest(v)
	if strings.Trim(text, "-0123456789") == "" {
		text += ".0"
	}
	return text
}
