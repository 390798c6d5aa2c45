package otlp

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/exposition"
)

// seeds are requests with something of everything.
func seeds() []string {
	attributes := str("service.name", "a") + `,` + str("gatewayID", "g") + `,` + str("k.k", "v") + `,` + str("k_k", "w")
	return []string{
		`{}`, `{"a":[{"b":"\ud83d\ude00"}]}`,
		of(attributes, `{"name":"x","unit":"1","description":"h","gauge":{"dataPoints":[`+number("1", attributes)+`]}},
			{"name":"h","histogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"sum":1,"bucketCounts":[1,2],"explicitBounds":[1],"exemplars":[{"asInt":1,"traceId":"01"}]}]}},
			{"name":"e","exponentialHistogram":{"aggregationTemporality":2,"dataPoints":[{"count":3,"scale":9,"positive":{"offset":-1,"bucketCounts":[1,0,0,0,2]}}]}},
			{"name":"s","summary":{"dataPoints":[{"quantileValues":[{"quantile":1,"value":2}]}]}},
			{"name":"d","sum":{"aggregationTemporality":1,"dataPoints":[{}]}},
			{"name":"v","gauge":{"dataPoints":[{"attributes":[{"key":"m","value":{"arrayValue":{"values":[{"kvlistValue":{"values":[{"key":"k"}]}}]}}}]}]}}`),
	}
}

// spelled is a sink that looks at what it is brought as the hub does.
type spelled struct {
	recorder
	parser *exposition.SeriesParser
}

func (s *spelled) Sample(series []byte, _ int64, _ float64) error {
	_, err := s.parser.Parse(series)
	return err
}

func (s *spelled) Histogram(series []byte, ms int64, message []byte) error {
	if err := s.recorder.Histogram(series, ms, message); err != nil {
		return err
	}
	return s.Sample(series, ms, 0)
}

// Whatever is sent, each series is one that the text format has, or has a name that is no text: nothing else is wrong with it.
func FuzzProtobuf(f *testing.F) {
	for _, seed := range seeds() {
		body, err := FromJSON(nil, []byte(seed))
		require.NoError(f, err)
		f.Add(body, false)
		f.Add(body, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, wide bool) {
		cfg := defaults
		if wide {
			cfg = Config{Strategy: "NoTranslation", ScopeMetadata: true}
		}
		translator, err := New(cfg)
		require.NoError(t, err)
		sink := &spelled{recorder{t: t}, exposition.NewSeriesParser(exposition.Limits{SeriesBytes: 1 << 20, Labels: 1 << 20})}
		for range 2 { // a push may be read again
			_ = translator.Protobuf(body, sink, func(_ string, _ int, err error) {
				require.NotContains(t, err.Error(), "twice")
			})
		}
	})
}

// What is taken for JSON is JSON, and its protobuf is read to its end.
func FuzzJSON(f *testing.F) {
	for _, seed := range seeds() {
		f.Add([]byte(seed))
	}
	translator, err := New(defaults)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, body []byte) {
		message, err := FromJSON(nil, body)
		if err != nil {
			return
		}
		require.True(t, json.Valid(body))
		require.LessOrEqual(t, len(message), JSONGrowth*len(body))
		err = translator.Protobuf(message, &recorder{t: t}, func(string, int, error) {})
		require.NotErrorIs(t, err, errWire)
	})
}
