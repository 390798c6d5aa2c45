package edgehub

import (
	"bytes"
	"log/slog"
	"math"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/internal/exposition"
)

// No two pushes, whatever their bytes, make a scrape that does not parse, and
// what was written means the same when it is pushed again.
func FuzzPush(f *testing.F) {
	f.Add([]byte("# TYPE x counter\nx{a=\"b\"} 1 5\n"), []byte("# TYPE x gauge\nx 2\n"))
	f.Add([]byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 2\n"), []byte("x_bucket{le=\"small\"} 1\n"))
	f.Add([]byte("# HELP x_sum a\\n\nx_sum 1\n"), []byte("# TYPE x summary\nx{quantile=\"1\"} NaN\nx_sum 4\n"))
	f.Add([]byte("# TYPE x_count counter\nx_count 1\n"), []byte("# TYPE x histogram\nx_count 2\n"))
	f.Add([]byte("# TYPE \"x.y\" histogram\n{\"x.y_bucket\",le=\"1\"} 1\n{\"x.y_sum\",\"a.b\"=\"c\"} 2\n"), []byte("{\"x\"} 1\n"))
	discard := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, one, two []byte) {
		whole := len(one)%2 == 1 // what the hub writes of its own may not be pushed again
		h, err := New(Config{Logger: discard, NoFirstSamples: !whole})
		require.NoError(t, err)
		defer h.Close(ended())
		for _, body := range [][]byte{one, two} {
			_, _ = h.Push(t.Context(), Text, body) // refused is fine
		}
		classic := h.everything(t, exposition.Values)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		_, err = parser.TextToMetricFamilies(bytes.NewReader(classic))
		require.NoError(t, err, "%s", classic)

		if whole {
			return
		}
		text := h.everything(t, exposition.AllowUTF8)
		again, err := New(Config{Logger: discard, NoFirstSamples: true})
		require.NoError(t, err)
		defer again.Close(ended())
		_, err = again.Push(t.Context(), Text, text)
		require.NoError(t, err, "%s", text)
		require.Equal(t, samplesOf(h), samplesOf(again))
	})
}

func (h *Hub) everything(t *testing.T, escaping exposition.Escaping) []byte {
	var out bytes.Buffer
	v, rank := h.store.ReadWaiting()
	require.NoError(t, render.Text(&out, arrange.Arrange(v, rank, arrange.Everything), escaping, nil))
	return out.Bytes()
}

// samplesOf maps each series to its samples, values as bits so that NaNs compare.
func samplesOf(h *Hub) map[string][][2]int64 {
	all := map[string][][2]int64{}
	for series, p := range h.Pending() {
		bits := math.Float64bits(p.Value)
		if math.IsNaN(p.Value) {
			bits = 1
		}
		all[series] = append(all[series], [2]int64{p.Time, int64(bits)})
	}
	return all
}
