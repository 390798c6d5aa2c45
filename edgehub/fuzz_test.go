package edgehub

import (
	"bytes"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
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
	now := time.UnixMilli(1_700_000_000_000)
	f.Fuzz(func(t *testing.T, one, two []byte) {
		h, err := New(Config{Logger: discard})
		require.NoError(t, err)
		for _, body := range [][]byte{one, two} {
			_, _ = h.ingest(body, now) // refused is fine
		}
		classic := h.everything(t, true)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		_, err = parser.TextToMetricFamilies(bytes.NewReader(classic))
		require.NoError(t, err, "%s", classic)

		text := h.everything(t, false)
		again, err := New(Config{Logger: discard})
		require.NoError(t, err)
		_, err = again.ingest(text, now)
		require.NoError(t, err, "%s", text)
		require.Equal(t, samplesOf(h), samplesOf(again))
	})
}

func (h *Hub) everything(t *testing.T, classic bool) []byte {
	var out bytes.Buffer
	require.NoError(t, h.waiting().write(&out, classic))
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
