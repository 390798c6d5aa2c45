package wire

import (
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// family is one of a body, with its lines.
type family struct {
	Header
	lines string
}

func bodyOf(key string, families ...family) *Body {
	var headers []Header
	var text []byte
	var ends []int
	for _, f := range families {
		headers = append(headers, f.Header)
		text = append(text, f.lines...)
		ends = append(ends, len(text))
	}
	return NewBody(key, text, ends, NewShape(headers))
}

// Each family is one group with one header, whatever the bodies.
func TestJoin(t *testing.T) {
	a, b, c := Header{Name: "a", Kind: Gauge}, Header{Name: "b", Kind: Gauge}, Header{Name: "c", Kind: Gauge}
	withHelp := Header{Name: "a", Kind: Gauge, Help: "Of a."}
	batch := []*Body{
		bodyOf("g1", family{a, "a{g=\"1\"} 1 1000\n"}, family{b, "b{g=\"1\"} 1 1000\n"}, family{a, "a{g=\"1\"} 2 1000\n"}),
		bodyOf("g2", family{c, "c{g=\"2\"} 1 1000\n"}, family{withHelp, "a{g=\"2\"} 1 1000\n"}),
		bodyOf("g3", family{b, "b{g=\"3\"} 1 1000\n"}),
	}
	want := strings.Join([]string{
		`# TYPE a gauge`, `a{g="1"} 1 1000`, `a{g="1"} 2 1000`, `a{g="2"} 1 1000`,
		`# TYPE b gauge`, `b{g="1"} 1 1000`, `b{g="3"} 1 1000`,
		`# TYPE c gauge`, `c{g="2"} 1 1000`, ``,
	}, "\n")
	var j Joiner
	for range 2 { // the second time with used scratch
		got := string(j.Join(nil, batch))
		assert.Equal(t, want, got)
		parser := expfmt.NewTextParser(model.LegacyValidation) // as prometheus-edge-hub has it
		_, err := parser.TextToMetricFamilies(strings.NewReader(got))
		require.NoError(t, err)
	}
}
