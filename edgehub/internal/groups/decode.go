package groups

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"slices"
	"strings"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
)

// Decode reads the families of a body: delimited protobuf where its Content-Type says so, and text
// whatever else it says. It keeps nothing of the body. What could not be taken in however empty the set is is refused before it
// is parsed, as it takes many times its memory then.
func (s *Set) Decode(contentType string, body []byte) ([]*dto.MetricFamily, *RefusedError) {
	count, decode := textParts, decodeText
	if delimited(contentType) {
		count, decode = protoParts, decodeProto
	}
	if parts, most := count(body), partsOfSeries*s.cfg.Limits.Series; parts > most {
		return nil, full(ManySeries, "the push has %d samples and labels, and the limit for all groups is %d series, with %d parts each", parts, s.cfg.Limits.Series, partsOfSeries)
	}
	return decode(body)
}

func decodeText(body []byte) ([]*dto.MetricFamily, *RefusedError) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	byName, err := parser.TextToMetricFamilies(bytes.NewReader(body))
	if err != nil {
		return nil, bad(Malformed, "%v", err)
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, f := range byName {
		families = append(families, f)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return families, nil
}

// delimited says whether a Content-Type is that of delimited protobuf, to the letter.
func delimited(contentType string) bool {
	media, params, err := mime.ParseMediaType(contentType)
	return err == nil && media == expfmt.ProtoType && params["encoding"] == "delimited" && params["proto"] == expfmt.ProtoProtocol
}

// decodeProto reads messages. What they name other than in classic letters has underscores instead, as a
// Pushgateway shows it; families of one name are one.
func decodeProto(body []byte) ([]*dto.MetricFamily, *RefusedError) {
	var families []*dto.MetricFamily
	byName := map[string]*dto.MetricFamily{}
	in := bytes.NewReader(body)
	for {
		f := &dto.MetricFamily{}
		// A message that says it is longer than the body gets no memory for that.
		err := protodelim.UnmarshalOptions{MaxSize: int64(len(body))}.UnmarshalFrom(in, f)
		if errors.Is(err, io.EOF) {
			return families, nil
		}
		if err != nil {
			return nil, bad(Malformed, "the body is no delimited protobuf of metric families: %v", err)
		}
		classic(f)
		if len(f.Metric) == 0 {
			continue
		}
		first, twice := byName[f.GetName()]
		if !twice {
			byName[f.GetName()] = f
			families = append(families, f)
			continue
		}
		if first.GetType() != f.GetType() {
			return nil, bad(Inconsistent, "the family %q comes as %s and as %s", f.GetName(), typeName(first.GetType()), typeName(f.GetType()))
		}
		first.Metric = append(first.Metric, f.Metric...)
	}
}

// classic makes the names of a family classic ones.
func classic(f *dto.MetricFamily) {
	if f.GetName() != "" {
		f.Name = proto.String(model.EscapeName(f.GetName(), model.UnderscoreEscaping))
	}
	for _, m := range f.Metric {
		for _, l := range m.GetLabel() {
			if l.GetName() != "" {
				l.Name = proto.String(strings.ReplaceAll(model.EscapeName(l.GetName(), model.UnderscoreEscaping), ":", "_"))
			}
		}
	}
}

// typeName is a type as a TYPE line has it.
func typeName(t dto.MetricType) string {
	return strings.ToLower(strings.ReplaceAll(t.String(), "_", ""))
}
