package block

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub/internal/series"
)

func (s *Samples) add(id series.ID, ms int64, value float64) {
	s.IDs, s.Times, s.Values = append(s.IDs, id), append(s.Times, ms), append(s.Values, value)
}

// sample is one with the bits of its value, so that it can be compared.
type sample struct {
	id    series.ID
	ms    int64
	value uint64
}

func all(series.ID) bool { return true }

// requireSame holds a block to the samples of a stretch of it, read in both ways.
func requireSame(t *testing.T, want Samples, b *Block, from, to int, wanted func(series.ID) bool) {
	t.Helper()
	at := from
	for k := range b.Keys(from, to) {
		require.Equal(t, want.IDs[at:at+len(k.IDs)], k.IDs)
		require.Equal(t, want.Times[at:at+len(k.IDs)], k.Times)
		at += len(k.IDs)
		require.True(t, at == to || at%Stretch == 0, at)
	}
	require.Equal(t, to, at)
	again := b.Append(Samples{})
	require.Equal(t, want.IDs, again.IDs)
	require.Equal(t, want.Times, again.Times)
	for i, v := range again.Values {
		require.Equal(t, math.Float64bits(want.Values[i]), math.Float64bits(v))
	}

	left := map[series.ID][]sample{}
	for i, id := range want.IDs[from:to] {
		if wanted(id) {
			left[id] = append(left[id], sample{id, want.Times[from+i], math.Float64bits(want.Values[from+i])})
		}
	}
	for s := range b.Series(from, to, wanted) {
		require.NotEmpty(t, s.IDs)
		require.Len(t, s.Times, len(s.IDs))
		require.Len(t, s.Values, len(s.IDs))
		for i, id := range s.IDs {
			require.NotEmpty(t, left[id], "series %d", id)
			read := sample{id, s.Times[i], math.Float64bits(s.Values[i])}
			require.Equal(t, left[id][0], read)
			left[id] = left[id][1:]
		}
	}
	for id, samples := range left {
		require.Empty(t, samples, "series %d", id)
	}
}

// report adds what some series of a gateway report at one time.
func report(s *Samples, r *rand.Rand, first, each int, ms int64, value func(id series.ID) float64) {
	for i := range each {
		if r.IntN(50) > 0 {
			id := series.ID(first + i)
			s.add(id, ms+int64(r.IntN(2)), value(id))
		}
	}
}

var odd = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.1, -0.25, 23.45, 1e15, 1 << 53, 1<<53 + 2, -(1 << 53), 1e22, 1e300, math.MaxFloat64, 5e-324,
	math.Inf(1), math.Inf(-1), math.NaN(), math.Float64frombits(0x7ff0000000000002), math.Float64frombits(0xfff8000000000123), math.Pi,
}

// What says more of samples costs little between their values, and the values no more than without.
func TestNaNsBetweenNumbers(t *testing.T) {
	var e Encoder
	var plain, worded Samples
	for i := range 1000 {
		for id := range series.ID(10) {
			plain.add(id, int64(i), float64(i*int(id)))
			worded.add(id, int64(i), float64(i*int(id)))
			worded.add(id, int64(i), math.Float64frombits(0xfff7000000000000+uint64(id))) // since when it counts
		}
	}
	requireSame(t, worded, e.Encode([]Samples{worded}), 0, len(worded.IDs), all)
	requireSame(t, worded, e.Encode([]Samples{worded}), 7001, 15_002, func(id series.ID) bool { return id%2 == 0 })
	assert.Less(t, e.Encode([]Samples{worded}).Size(), 4*e.Encode([]Samples{plain}).Size())
}

// Fleets of all sorts come out as they went in, from anywhere to anywhere.
func TestRoundTrip(t *testing.T) {
	var e Encoder
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		var s Samples
		gateways, each := 1+r.IntN(20), 1+r.IntN(60)
		counters := map[series.ID]float64{}
		value := func(id series.ID) float64 {
			switch int(id) % 5 {
			case 0:
				counters[id] += float64(r.IntN(1000))
				return counters[id]
			case 1:
				return float64(r.IntN(10000)) / 100
			case 2:
				return 7
			case 3:
				return r.NormFloat64()
			default:
				return odd[r.IntN(len(odd))]
			}
		}
		for range 1 + r.IntN(200) {
			for g := range gateways {
				report(&s, r, g*each, each, r.Int64N(1e6)-r.Int64N(1e6), value)
			}
		}
		s.add(series.ID(r.IntN(1e6)), math.MinInt64, 1)
		s.add(0, math.MaxInt64, 2)
		n := len(s.IDs)
		cut := r.IntN(n)
		b := e.Encode([]Samples{{s.IDs[:cut], s.Times[:cut], s.Values[:cut]}, {}, {s.IDs[cut:], s.Times[cut:], s.Values[cut:]}})
		require.Equal(t, n, b.Len())
		requireSame(t, s, b, 0, n, all)
		for range 5 {
			from := r.IntN(n + 1)
			to := from + r.IntN(n-from+1)
			parts := 1 + r.IntN(4)
			requireSame(t, s, b, from, to, func(id series.ID) bool { return int(id)%parts == 0 })
		}
	}
}

// A reader may have enough before the end.
func TestReadingEndsEarly(t *testing.T) {
	b := new(Encoder).Encode([]Samples{newFleet(1, 100, 50).reports(10)})
	keys, samples := 0, 0
	for k := range b.Keys(1, b.Len()) {
		keys += len(k.IDs)
		break
	}
	for s := range b.Series(0, b.Len(), all) {
		samples += len(s.IDs)
		break
	}
	assert.Equal(t, Stretch-1, keys)
	assert.GreaterOrEqual(t, samples, Stretch)
	assert.Less(t, samples, b.Len())
}

// A fleet's reports take two bytes a sample, and less the more there are of a series.
func TestSize(t *testing.T) {
	for each, most := range map[int]float64{1: 4, 4: 2.2, 16: 1.3} {
		s := newFleet(1, 100, 303).reports(each)
		b := new(Encoder).Encode([]Samples{s})
		assert.Less(t, float64(b.Size())/float64(b.Len()), most, "%d samples a series", each)
	}
}

// What says that it has many samples, or series, has the bytes for them.
func TestOpenRefusesWhatIsNotThere(t *testing.T) {
	whole := *new(Encoder).Encode([]Samples{newFleet(1, 3, 20).reports(3)})
	damage := func(f func(b *Block)) error { b := whole; f(&b); return b.check() }
	require.NoError(t, damage(func(*Block) {}))
	for name, f := range map[string]func(b *Block){
		"no samples":       func(b *Block) { b.samples = 0 },
		"one more":         func(b *Block) { b.samples++ },
		"one less":         func(b *Block) { b.samples-- },
		"far too many":     func(b *Block) { b.samples = maxSamples + 1 },
		"a series more":    func(b *Block) { b.count++ },
		"a series less":    func(b *Block) { b.count-- },
		"a byte more":      func(b *Block) { b.values = append(b.values[:len(b.values):len(b.values)], 0) },
		"a byte less":      func(b *Block) { b.values = b.values[1:] },
		"no times":         func(b *Block) { b.times = nil },
		"a strange series": func(b *Block) { b.series = []byte{longRun | 1, 58} },
		"a strange order":  func(b *Block) { b.order = append([]byte{2}, b.order...) },
	} {
		assert.ErrorIs(t, damage(f), errDamaged, name)
	}
}
