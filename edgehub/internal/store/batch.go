package store

import (
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
)

// Batch is what one push brings: samples, whose they are, and the names that are new.
type Batch struct {
	samples.Columns
	Runs  []samples.Run // of gateway 0 where the series is a newcomer
	Names series.Newcomers

	Handed bool // another hub hands it over

	unknown []int // places of the samples whose series is a newcomer, in order
}

// Reset empties the batch for another push, or another try.
func (b *Batch) Reset() {
	b.Columns.Reset()
	b.Names.Reset()
	b.Runs, b.unknown = b.Runs[:0], b.unknown[:0]
	b.Handed = false
}

// AddRun counts samples of a gateway that were added.
func (b *Batch) AddRun(gateway uint32, n int) {
	if n > 0 {
		b.Runs = samples.AddRun(b.Runs, gateway, n)
	}
}

// AddUnknown adds a sample of the series that is the next newcomer without one.
func (b *Batch) AddUnknown(ms int64, value float64) {
	b.Runs = append(b.Runs, samples.Run{Samples: 1})
	b.unknown = append(b.unknown, b.Len())
	b.Add(series.None, ms, value)
}

// AddFollowing adds words to the sample that was added last, see package words. unknown says that its series is a newcomer.
func (b *Batch) AddFollowing(unknown bool, words []float64) {
	last := b.Len() - 1
	id, ms := b.IDs[last], b.Times[last]
	for _, w := range words {
		b.Add(id, ms, w)
	}
	if unknown {
		b.Runs[len(b.Runs)-1].Samples += len(words)
	}
}

// assignRuns gives the runs of newcomers their gateways.
func (b *Batch) assignRuns() {
	runs, names := b.Runs[:0], b.Names.Series()
	for _, r := range b.Runs {
		if r.Gateway == 0 {
			r.Gateway = names.Next().Owner()
		}
		runs = samples.AddRun(runs, r.Gateway, r.Samples)
	}
	b.Runs = runs
}

// assignNumbers gives the samples of newcomers the numbers of their series.
func (b *Batch) assignNumbers() {
	names := b.Names.Series()
	for i, place := range b.unknown {
		id, end := names.Next().ID, b.Len()
		if i+1 < len(b.unknown) {
			end = b.unknown[i+1]
		}
		for ; place < end && b.IDs[place] == series.None; place++ { // what follows it has no number, either
			b.IDs[place] = id
		}
	}
}
