package lines

import (
	"context"
	"log/slog"
	"math"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/exposition"
)

// written is a sample as it was brought to a sink.
type written struct {
	series string // canonical
	ms     int64
	value  uint64
}

// FuzzWriter brings whatever there is to a Writer. What that writes the exporter takes, and a hub, and it means the samples that were brought.
// Each line is a call: a word, and what it is about.
func FuzzWriter(f *testing.F) {
	f.Add("type\th\thistogram\nhelp\th\tHow\\long.\nsample\th_bucket{le=\"1\"}\nsample\th_bucket{le=\"+Inf\"}\nsample\th_sum\nsample\th\n", int64(5), 1.5)
	f.Add("sample\tc\ntype\tc\tcounter\nsample\tc{a=\"b\"}\ntype\tc\tgauge\nsample\tc\n", int64(decode.NoTime), math.Inf(1))
	f.Add("type\t\thistogram\nsample\t_bucket\nsample\t_sum\ntype\to.k\tsummary\nsample\t{\"o.k_sum\"}\nsample\t{\"o.k\",quantile=\"0.5\"}\n", int64(-1), math.NaN())
	f.Add("type\th\thistogram\ntype\th_sum\tcounter\nsample\th_sum\nsample\th_count\nsample\th_sum{gatewayID=\"x\"}\nset\tgatewayID\ty\nsample\th_sum\n", int64(1<<40), 0.1)
	f.Add("help\tx\t\xff\nsample\tx\nhelp\ttype x\nhelp\tx\t\\n\\\\\nsample\tx\ntype\tx\tuntyped\ntype\tx\tx\nsample\tx{a=\"\\\\\\n\"}\nset\ta\t\xff\nsample\tx", int64(0), math.Copysign(0, -1))
	f.Add("type\th_sum\t\x00\nhelp\th_sum\ta\x00b\nsample\th_sum", int64(1<<40), 0.1)
	e, err := exporter.New(exporter.Config{
		Hubs: []exporter.Hub{{URL: "http://127.0.0.1:1"}}, Overflow: exporter.DropOldest,
		Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, calls string, ms int64, value float64) {
		ms = max(ms, decode.NoTime)
		var types Types
		w := NewWriter(&types, 1000)
		l := NewLabelled(w)
		parser := exposition.NewSeriesParser(exposition.DefaultLimits)
		want, labels := []written{}, Label{}
		for call := range strings.SplitSeq(calls, "\n") {
			word, about, _ := strings.Cut(call, "\t")
			about, more, _ := strings.Cut(about, "\t")
			switch word {
			case "type":
				require.NoError(t, w.Type([]byte(about), []byte(more)))
			case "help":
				require.NoError(t, w.Help([]byte(about), []byte(more)))
			case "set":
				labels = Label{about, more}
				l.Set(labels)
			case "sample":
				if l.Sample([]byte(about), ms, value) != nil || math.Float64bits(value) == staleMarker {
					break
				}
				series, err := l.with([]byte(about))
				require.NoError(t, err)
				s, err := parser.Parse(series)
				require.NoError(t, err)
				if got, _ := parser.Label(labels.Name); labels.Value != "" {
					require.Equal(t, labels.Value, string(got))
				}
				want = append(want, written{string(s.Text), ms, bits(value)})
			}
		}
		require.Equal(t, want, read(t, w.Text()), "%s", w.Text())
		require.Equal(t, len(want), w.Samples())
		require.NoError(t, e.SubmitText(t.Context(), "gatewayID", w.Text()), "%s", w.Text())
		hub, err := edgehub.New(edgehub.Config{NoFirstSamples: true})
		require.NoError(t, err)
		defer hub.Close(context.Background())
		_, err = hub.Push(t.Context(), edgehub.Text, w.Text())
		require.NoError(t, err, "%s", w.Text())
	})
}

// bits are those of a value, where all that are none are the same.
func bits(v float64) uint64 {
	if math.IsNaN(v) {
		v = math.NaN()
	}
	return math.Float64bits(v)
}

// read are the samples of a text.
func read(t *testing.T, text []byte) []written {
	t.Helper()
	samples := []written{}
	var scanner exposition.Scanner
	scanner.Reset(text)
	parser := exposition.NewSeriesParser(exposition.DefaultLimits)
	for {
		switch kind := scanner.Next(0); kind {
		case exposition.End:
			require.NoError(t, scanner.Err(), "%s", text)
			return samples
		case exposition.Sample:
			s, err := parser.Parse(scanner.Spelling())
			require.NoError(t, err)
			ms, stamped := scanner.Timestamp()
			if !stamped {
				ms = decode.NoTime
			}
			samples = append(samples, written{string(s.Text), ms, bits(scanner.Value())})
		case exposition.Type, exposition.Help, exposition.Repeated:
		}
	}
}
