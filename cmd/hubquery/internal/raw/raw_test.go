package raw

import (
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/stretchr/testify/require"
)

type sample struct {
	t int64
	v float64
}

func (s sample) ST() int64                     { return 0 }
func (s sample) T() int64                      { return s.t }
func (s sample) F() float64                    { return s.v }
func (s sample) H() *histogram.Histogram       { return nil }
func (s sample) FH() *histogram.FloatHistogram { return nil }
func (s sample) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (s sample) Copy() chunks.Sample           { return s }

// share is the samples at some times; one below 0 is a marker.
func share(times ...int64) []chunks.Sample {
	var all []chunks.Sample
	for _, t := range times {
		if t < 0 {
			all = append(all, sample{-t, math.Float64frombits(value.StaleNaN)})
			continue
		}
		all = append(all, sample{t, float64(t)})
	}
	return all
}

func TestJoinedSharesHaveNoMarkersOfMoves(t *testing.T) {
	for name, c := range map[string]struct {
		shares [][]chunks.Sample
		want   []chunks.Sample
	}{
		"a move":                  {[][]chunks.Sample{share(1000, 2000, -2999), share(3000, 4000)}, share(1000, 2000, 3000, 4000)},
		"and back":                {[][]chunks.Sample{share(1000, -1999, 4000, 5000), share(2000, 3000, -3999)}, share(1000, 2000, 3000, 4000, 5000)},
		"a sample that both have": {[][]chunks.Sample{share(1000, 2000, -2001), share(2000, 3000)}, share(1000, 2000, 3000)},
		"one here that is later than those there": {[][]chunks.Sample{share(1000, 3000, -3001), share(2000, 4000)}, share(1000, 2000, 3000, 4000)},
		"the last one here is later, and the end": {[][]chunks.Sample{share(1000, 3000, -3001), share(2000)}, share(1000, 2000, 3000, -3001)},
		"silence after a move":                    {[][]chunks.Sample{share(1000, -1999), share(2000, 3000, -3500)}, share(1000, 2000, 3000, -3500)},
		"silence after a crash":                   {[][]chunks.Sample{share(1000), share(2000, 3000, -3500)}, share(1000, 2000, 3000, -3500)},
		"silence between two homes":               {[][]chunks.Sample{share(1000, -1500, 900_000), share(500)}, share(500, 1000, -1500, 900_000)},
		"a crash, silence, and home an hour later": {
			[][]chunks.Sample{share(1000, 3_600_000), share(2000, -2500)}, share(1000, 2000, -2500, 3_600_000),
		},
		"a marker and a sample at one time": {[][]chunks.Sample{share(1000, -2000), share(2000, 3000)}, share(1000, 2000, 3000)},
		"both end":                          {[][]chunks.Sample{share(1000, -1500), share(1000, -1500)}, share(1000, -1500)},
	} {
		t.Run(name, func(t *testing.T) {
			got := joined(c.shares)
			require.Len(t, got, len(c.want), "%v", got)
			for i, w := range c.want {
				require.Equal(t, w.T(), got[i].T())
				require.Equal(t, math.Float64bits(w.F()), math.Float64bits(got[i].F()), "at %d", w.T())
			}
		})
	}
}
