package arrange

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// put appends samples of one series and time.
func (w *world) put(name string, ms int64, values ...float64) {
	w.t.Helper()
	var batch samples.Columns
	for _, v := range values {
		batch.Add(w.learn(name), ms, v)
	}
	_, err := w.log.Append(0, &batch, []samples.Run{{Gateway: 1, Samples: batch.Len()}}, time.Now())
	require.NoError(w.t, err)
}

// wordsFor are words that follow sample i.
func wordsFor(i, bytes int) []float64 {
	return words.AppendExemplar([]float64{words.Start(int64(i))}, fmt.Appendf(make([]byte, bytes), "%d", i))
}

// Words stay with their sample, in whatever order it came.
func TestWords(t *testing.T) {
	w := newWorld(t)
	histogram := words.AppendHistogram(nil, []byte("a native histogram"))
	w.put("x", 2, append([]float64{2}, wordsFor(2, 0)...)...)
	w.put("x", 1, append(histogram, wordsFor(1, 0)...)...)
	w.put("x", 3, 3)
	w.put("y", 1, 1)
	a := w.arrange(Everything)
	x, y := w.learn("x"), w.learn("y")
	points := a.Of(x)
	require.Len(t, points, 3)
	assert.True(t, words.IsHistogram(points[0].Value))
	assert.Equal(t, []Point{{2, 2}, {3, 3}}, points[1:])
	var s words.Sample
	s.Read(points[0].Value, a.Words(x, 1))
	assert.Equal(t, "a native histogram", string(s.Histogram))
	assert.Equal(t, int64(1), s.Start)
	s.Read(points[1].Value, a.Words(x, 2))
	assert.Equal(t, [][]byte{[]byte("2")}, s.Exemplars)
	assert.Nil(t, a.Words(x, 3))
	assert.Nil(t, a.Words(y, 1))
	assert.Zero(t, a.Cut())
	require.Len(t, a.Of(x), 3, "again")
	s.Read(a.Of(x)[0].Value, a.Words(x, 1))
	assert.NotNil(t, s.Histogram, "again")
	last, is := a.Last(x)
	assert.True(t, is)
	assert.Equal(t, Point{3, 3}, last)
}

// Of two samples of one time the last stays, with what follows it and not what followed the other; a marker takes no place.
func TestWordsOfOneTime(t *testing.T) {
	w := newWorld(t)
	w.put("x", 1, append(words.AppendHistogram(nil, []byte("first")), wordsFor(1, 9)...)...)
	w.put("x", 1, append(words.AppendHistogram(nil, []byte("last")), words.Start(2))...)
	w.put("x", 1, samples.Marker())
	w.put("y", 1, append([]float64{1}, wordsFor(1, 9)...)...)
	w.put("y", 1, 2)
	a := w.arrange(Everything)
	x, y := w.learn("x"), w.learn("y")
	points := a.Of(x)
	require.Len(t, points, 1)
	var s words.Sample
	s.Read(points[0].Value, a.Words(x, 1))
	assert.Equal(t, "last", string(s.Histogram))
	assert.Equal(t, int64(2), s.Start)
	assert.Empty(t, s.Exemplars)
	assert.Equal(t, []Point{{1, 2}}, a.Of(y))
	assert.Empty(t, a.Words(y, 1))
	assert.Zero(t, a.Cut())
}

// An exemplar that stands alone follows the next sample of its series, or the last one, but no marker; where there is none it is counted.
func TestExemplarsAlone(t *testing.T) {
	alone := func(text string) []float64 { return words.AppendExemplar(nil, []byte(text)) }
	w := newWorld(t)
	w.put("x", 5, alone("before six")...)
	w.put("x", 6, append([]float64{6}, alone("its own")...)...)
	w.put("x", 1, 1)
	w.put("x", 6, alone("at six")...)
	w.put("x", 7, alone("behind all")...)
	w.put("x", 8, samples.Marker())
	w.put("y", 1, alone("nobody's")...)
	w.put("y", 2, samples.Marker())
	w.put("z", 3, alone("first")...)
	w.put("z", 3, 3)
	w.put("z", 3, append([]float64{4}, alone("second")...)...)
	a := w.arrange(Everything)
	of := func(name string, ms int64) (all []string) {
		var s words.Sample
		for _, p := range a.Of(w.learn(name)) {
			if p.Time == ms {
				s.Read(p.Value, a.Words(w.learn(name), ms))
				require.Zero(t, s.Cut)
				for _, e := range s.Exemplars {
					all = append(all, string(e))
				}
			}
		}
		return all
	}
	for range 2 {
		assert.Empty(t, of("x", 1))
		assert.ElementsMatch(t, []string{"its own", "before six", "at six", "behind all"}, of("x", 6))
		assert.Len(t, a.Of(w.learn("x")), 3)
		assert.Len(t, a.Of(w.learn("y")), 1)
		assert.ElementsMatch(t, []string{"first", "second"}, of("z", 3))
		assert.Equal(t, 1, a.Cut())
	}
}

// Words whose sample was cut off are left out and counted, also where nothing else is there.
func TestWordsThatFollowNothing(t *testing.T) {
	w := newWorld(t)
	w.put("x", 1, wordsFor(1, 9)...)
	w.put("x", 2, 2)
	w.put("y", 1, words.Start(1))
	a := w.arrange(Everything)
	assert.Equal(t, []string{"x@2=2"}, written(a))
	assert.Equal(t, 2, a.Cut())
	_, is := a.Last(w.learn("y"))
	assert.False(t, is)
}

// Wherever responses end, whether segments end there and whether they are packed, each sample has what follows it.
func TestResponsesEndBehindWords(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 3))
		w := newWorld(t)
		if seed%3 != 0 {
			w.small()
		}
		names, all := []string{"a", "b", "h_sum", "h_count"}, map[string]int{}
		w.learn("# TYPE h histogram")
		for i := range 1 + r.IntN(20) {
			values := []float64{float64(i)}
			if r.IntN(2) == 0 {
				values = append(values, wordsFor(i, r.IntN(30))...)
			}
			name := names[r.IntN(len(names))]
			w.put(name, int64(i), values...)
			all[fmt.Sprintf("%s@%d=%d", name, i, i)] = len(values) - 1
		}
		if seed%2 == 1 {
			w.seal()
		}
		for {
			c := most(1 + r.IntN(9))
			c.One = r.IntN(2) == 0
			a := w.arrange(c)
			if a.From == a.To {
				break
			}
			for _, id := range a.Rank.Order {
				for _, p := range a.Of(id) {
					sample, following := fmt.Sprintf("%s@%d=%g", a.Rank.Text(id), p.Time, p.Value), a.Words(id, p.Time)
					want, is := all[sample]
					require.True(t, is, "seed %d: %s", seed, sample)
					require.Len(t, following, want, "seed %d: %s", seed, sample)
					var s words.Sample
					if s.Read(p.Value, following); want > 0 {
						require.Equal(t, p.Time, s.Start)
						require.Len(t, s.Exemplars, 1)
					}
					delete(all, sample)
				}
			}
			require.Zero(t, a.Cut(), "seed %d", seed)
			w.take(a)
		}
		require.Empty(t, all, "seed %d", seed)
	}
}

// A sample that has more words than a response may have samples comes whole.
func TestMoreWordsThanAreEnough(t *testing.T) {
	w := newWorld(t)
	const segment = 8192
	histogram := words.AppendHistogram(nil, make([]byte, 3*segment*6))
	w.put("x", 1, histogram...)
	w.put("y", 1, 1)
	for _, c := range []Choice{most(1), most(segment), one(1), one(math.MaxInt - 1)} {
		a := w.arrange(c)
		require.GreaterOrEqual(t, a.Samples(), len(histogram))
		var s words.Sample
		s.Read(a.Of(w.learn("x"))[0].Value, a.Words(w.learn("x"), 1))
		assert.NotNil(t, s.Histogram)
	}
}
