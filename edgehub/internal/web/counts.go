package web

import (
	"sync"
	"sync/atomic"

	"github.com/hubring/hubring/edgehub/internal/arrange"
)

// Counts are what happened at the doors, for whoever exports them.
type Counts struct {
	Pushes, Received atomic.Uint64 // pushes and samples that were taken in
	LetGo            atomic.Uint64 // samples that made room for others
	Scraped          atomic.Uint64 // samples that cursors passed
	TooOld, Ahead    atomic.Uint64 // of those, that were not written
	SetAside         atomic.Uint64 // likewise
	Aborted          atomic.Uint64 // responses that were cut off, or known not to have arrived
	Resplits         atomic.Uint64 // times that a scraper came with another number of parts
	OneAtATime       atomic.Uint64 // scrapes that got one sample of a series at most

	LeftExemplars atomic.Uint64 // that came without a sample

	GroupPushes      atomic.Uint64 // to groups, that were taken in
	GroupDeletions   atomic.Uint64 // requests to delete groups
	GroupMetricsLeft atomic.Uint64 // metrics of groups that a response could not have

	GatewaysEnded       Words // by reason
	RejectedEnds        Words // requests by reason
	RejectedPushes      Words // by reason
	RejectedSamples     Words // by reason
	LeftOut             Words // samples of pushes that were taken without them, by reason
	RejectedGroupPushes Words // by reason; deletions count, too
	RefusedReads        Words // by reason
	ScrapedBy           Words // samples by cursor
	HandedOver          Words // samples by cursor, which it passed since another hub has them
	Handovers           Words // by result
	Unconfirmed         Words // responses by cursor that were written, are not known to have arrived, and come again
	Conflicts           Words // by cursor: two scrapers share it
	Proxied             Words // scrapes by cursor that came through a proxy
	Queries             Words // by cursor and result, with a NUL between
	ExtrasLeftOut       Words // messages that responses could not have, by what they are
	SetAsideSamples     Words // by cursor, reason and gateway, likewise
	setAsideGateways    atomic.Int64
}

// Dropped is the number of samples that cursors passed and that were not written.
func (c *Counts) Dropped() uint64 { return c.TooOld.Load() + c.Ahead.Load() + c.SetAside.Load() }

func (c *Counts) refused(reason string, samples int) {
	c.RejectedPushes.add(reason, 1)
	c.RejectedSamples.add(reason, samples)
}

// What is more than a number, and what was cut of it.
const (
	histograms = "native_histogram"
	exemplars  = "exemplar"
	starts     = "start_time"
	cut        = "cut"
)

func (c *Counts) leftOut(n arrange.LeftOut) {
	c.ExtrasLeftOut.add(histograms, n.Histograms)
	c.ExtrasLeftOut.add(exemplars, n.Exemplars)
	c.ExtrasLeftOut.add(starts, n.Starts)
	c.ExtrasLeftOut.add(cut, n.Cut)
}

// maxSetAsideGateways bounds the gateways that SetAsideSamples tells apart; the others are
// counted as "other".
const maxSetAsideGateways = 200

func (c *Counts) setAside(cursor, reason, gateway string, samples int) {
	c.SetAside.Add(uint64(samples))
	word := cursor + "\x00" + reason + "\x00" + gateway
	if !c.SetAsideSamples.has(word) && c.setAsideGateways.Add(1) > maxSetAsideGateways {
		word = cursor + "\x00" + reason + "\x00other"
	}
	c.SetAsideSamples.add(word, samples)
}

// Words are counts by a word.
type Words struct {
	mu     sync.Mutex
	counts map[string]uint64
}

func (w *Words) add(word string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.counts == nil {
		w.counts = map[string]uint64{}
	}
	w.counts[word] += uint64(n)
}

func (w *Words) has(word string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, has := w.counts[word]
	return has
}

// expect makes words be there, with 0, before they are first counted.
func (w *Words) expect(words ...string) {
	for _, word := range words {
		w.add(word, 0)
	}
}

// Sum is the sum of all counts.
func (w *Words) Sum() (sum uint64) {
	w.Each(func(_ string, n uint64) { sum += n })
	return sum
}

// Each calls f with each word and its count.
func (w *Words) Each(f func(word string, n uint64)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for word, n := range w.counts {
		f(word, n)
	}
}
