package dataset

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"
)

func TestTheFleetIsTheOneThatIsTalkedAbout(t *testing.T) {
	f := newFleet(Shape{Gateways: 347, Scale: 1})
	names, firsts := map[string]bool{}, 0
	for i, s := range f.series {
		require.False(t, names[s.labels.String()], "%s is there twice", s.labels)
		names[s.labels.String()] = true
		if i > 0 {
			require.Negative(t, labels.Compare(f.series[i-1].labels, s.labels))
		}
		if s.kind == first {
			firsts++
		}
	}
	require.Equal(t, 347, firsts)
	require.Len(t, f.series, 106_641+firsts)

	d, err := f.divide(4)
	require.NoError(t, err)
	for p, l := range f.lanes(&d) {
		n := 0
		for _, src := range l.sources {
			n += len(f.sources[src].series)
		}
		require.InEpsilon(t, 26_660, n, 0.1, "part %d", p)
	}
}

func TestCountersGrow(t *testing.T) {
	f := newFleet(Shape{Gateways: 40, Scale: 0.05, Seed: 3})
	resets := 0
	for i := range f.series {
		s := &f.series[i]
		if s.kind != counts && s.kind != bucket && s.kind != sum {
			continue
		}
		last := math.Inf(-1)
		for minute := range Minutes {
			v := f.value(s, minute, 0)
			if v < last {
				require.Equal(t, f.sources[s.source].reset, minute, "%s", s.labels)
				resets++
			}
			last = v
		}
	}
	require.Positive(t, resets)
}

// What the parts have together is what the whole has, and nothing twice but where a
// gateway's samples went to both of its homes.
func TestPartsAreTheWhole(t *testing.T) {
	f := newFleet(Shape{Gateways: 23, Scale: 0.02, Moves: 9, Seed: 1})
	var divisions []division
	for _, n := range []int{2, 3} {
		d, err := f.divide(n)
		require.NoError(t, err)
		divisions = append(divisions, d)
	}
	dir, start := t.TempDir(), int64(1_795_910_400_123)
	require.NoError(t, f.writeDay(t.Context(), dir, start, divisions, func(int, int) {}))

	whole, markers := samplesIn(t, filepath.Join(dir, wholeData))
	require.Empty(t, markers)
	total := 0
	for _, at := range whole {
		total += len(at)
	}
	require.Greater(t, total, (len(f.series)-23)*dayMinutes)
	for _, d := range divisions {
		union, twice, ends := map[string]map[int64]float64{}, 0, 0
		for p := range d.parts {
			part, markers := samplesIn(t, filepath.Join(dir, partData(d.parts, p)))
			ends += len(markers)
			for name, at := range part {
				if union[name] == nil {
					union[name] = map[int64]float64{}
				}
				for when, v := range at {
					if _, ok := union[name][when]; ok {
						twice++
					}
					union[name][when] = v
				}
			}
		}
		require.Equal(t, whole, union)
		each := len(f.sources[0].series)
		require.Equal(t, 2*2*(each-1), twice) // two gateways, two samples; not the one of the hub's own
		require.Equal(t, 3*each+2*2*each, ends)
	}
}

type end struct {
	series string
	at     int64
}

// samplesIn reads all blocks of a folder.
func samplesIn(t *testing.T, dir string) (samples map[string]map[int64]float64, markers []end) {
	t.Helper()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "wal"), 0o755)) // it insists
	db, err := tsdb.OpenDBReadOnly(dir, "", promslog.NewNopLogger())
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	q, err := db.Querier(math.MinInt64, math.MaxInt64)
	require.NoError(t, err)
	defer func() { require.NoError(t, q.Close()) }()
	samples = map[string]map[int64]float64{}
	found := q.Select(t.Context(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, model.MetricNameLabel, ".+"))
	for found.Next() {
		name, at := found.At().Labels().String(), map[int64]float64{}
		for it := found.At().Iterator(nil); it.Next() != chunkenc.ValNone; {
			when, v := it.At()
			if value.IsStaleNaN(v) {
				markers = append(markers, end{name, when})
				continue
			}
			at[when] = v
		}
		samples[name] = at
	}
	require.NoError(t, found.Err())
	return samples, markers
}

// Data that are there are used if they have the divisions that are wanted.
func TestDivisionsThatAreThereAreEnough(t *testing.T) {
	dir := t.TempDir()
	shape := Shape{Gateways: 3, Scale: 0.01, Parts: []int{2, 8}}
	made := &Set{dir: filepath.Join(dir, shape.folder()), Shape: shape, Start: 7}
	require.NoError(t, os.Mkdir(made.dir, 0o755))
	content, err := json.Marshal(made)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(made.mark(), content, 0o644))

	shape.Parts = []int{8}
	s, err := Open(t.Context(), dir, shape, Programs{}, t.Logf)
	require.NoError(t, err)
	require.Equal(t, int64(7), s.Start)

	s.Shape.Parts = []int{4, 8}
	there, err := s.read()
	require.NoError(t, err)
	require.False(t, there)
	require.Equal(t, []int{2, 4, 8}, s.Shape.Parts)

	other := shape
	other.Moves = 1
	require.NotEqual(t, shape.folder(), other.folder())
}
