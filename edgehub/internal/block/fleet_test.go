package block

import (
	"math"
	"math/rand/v2"

	"github.com/hubring/hubring/edgehub/internal/series"
)

// fleet is gateways that report every 30 s, with a little jitter, each all of its series with
// one time. Of the series half are counters, some idle; gauges are whole or have two decimals,
// and many repeat; a few are averages with all their digits.
type fleet struct {
	r              *rand.Rand
	gateways, each int
	now            int64
	kinds          []uint8
	values, rates  []float64
}

func newFleet(seed uint64, gateways, each int) *fleet {
	f := &fleet{r: rand.New(rand.NewPCG(seed, 1)), gateways: gateways, each: each, now: 1_700_000_000_000}
	for range gateways * each {
		kind := uint8(f.r.IntN(20))
		value, rate := math.Floor(math.Exp(18*f.r.Float64())), math.Exp(8*f.r.Float64())
		if kind >= 10 {
			value = float64(f.r.IntN(10_000))
		}
		f.kinds, f.values, f.rates = append(f.kinds, kind), append(f.values, value), append(f.rates, rate)
	}
	return f
}

// value is the next one of a series.
func (f *fleet) value(id int) float64 {
	v := &f.values[id]
	switch kind := f.kinds[id]; {
	case kind < 4: // an idle counter
		return *v
	case kind < 10:
		*v += math.Floor(f.rates[id] * (0.5 + f.r.Float64()))
		return *v
	case kind < 12: // what is set once
		return *v
	case kind < 14:
		if f.r.IntN(2) == 0 {
			*v += float64(f.r.IntN(9) - 4)
		}
		return *v
	case kind < 19:
		*v += float64(f.r.IntN(101) - 50)
		return *v / 100
	default:
		return *v * (1 + f.r.NormFloat64()/20)
	}
}

// reports are the samples of so many reports of each gateway.
func (f *fleet) reports(n int) (s Samples) {
	for range n {
		for g := range f.gateways {
			ms := f.now + int64(g*30_000/f.gateways) + f.r.Int64N(50)
			for id := g * f.each; id < (g+1)*f.each; id++ {
				s.add(series.ID(id), ms, f.value(id))
			}
		}
		f.now += 30_000
	}
	return s
}
