package edgehub

import (
	"fmt"
	"iter"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Hub holds the series and samples, and serves them over HTTP. Its methods may
// be called from any goroutine.
type Hub struct {
	cfg     Config
	table   *table
	log     *log
	cursors map[string]*cursor
	metrics *metrics
	pushes  chan struct{} // a place for each push that is taken in
	bodies  room          // memory for the pushes that are read
	scrapes chan struct{} // a place for each scrape
	looks   chan struct{} // a place for each look
	started time.Time

	connections connections

	expiry    sync.RWMutex // held for reading by pushes, for writing by expiry
	lastSweep atomic.Int64 // when series were last expired, in Unix seconds
	retired   atomic.Bool
}

// New makes a hub from a config. It starts nothing. Its error names every fault
// of the config, or a metric that the Registerer has already.
func New(cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure hub: %w", err)
	}
	h := &Hub{
		cfg:     cfg,
		table:   newTable(cfg),
		cursors: map[string]*cursor{},
		pushes:  make(chan struct{}, cfg.MaxPushes),
		bodies:  room{limit: cfg.MaxBodiesBytes},
		scrapes: make(chan struct{}, maxScrapes),
		looks:   make(chan struct{}, maxLooks),
		started: time.Now(),

		connections: connections{maxSenders: cfg.MaxConnections, open: map[net.Conn]*connection{}},
	}
	var cursors []*cursor
	for _, name := range cfg.Cursors {
		c := &cursor{name: name}
		h.cursors[name] = c
		cursors = append(cursors, c)
	}
	h.log = newLog(cfg.MaxSamples, cursors)
	h.lastSweep.Store(h.started.Unix())
	var err error
	if h.metrics, err = newMetrics(h); err != nil {
		return nil, fmt.Errorf("register the hub's metrics: %w", err)
	}
	return h, nil
}

// Stats is what a hub did since it started, in samples, and what it holds.
type Stats struct {
	Received uint64 // taken into the log
	Scraped  uint64 // passed by a cursor, each cursor counted
	Dropped  uint64 // passed by a cursor, but too old or too far ahead to be written
	Pending  int    // not yet passed by every cursor
	Series   int    // known
}

// Stats returns exact counts.
func (h *Hub) Stats() Stats {
	return Stats{
		Received: h.metrics.receivedCount.Load(),
		Scraped:  h.metrics.scrapedCount.Load(),
		Dropped:  h.metrics.droppedCount.Load(),
		Pending:  int(h.log.waiting()),
		Series:   h.table.size(),
	}
}

// Pending yields every sample that some scraper may not have got yet, as a scrape
// would write them: the series' canonical text, the time in milliseconds since
// the epoch and the value. Nothing is taken.
func (h *Hub) Pending() iter.Seq2[string, Point] {
	return func(yield func(string, Point) bool) {
		v := h.log.readWaiting()
		a := arrange(v, h.table.ranked(), math.MinInt64, math.MaxInt64)
		for _, id := range a.rank.order {
			for _, p := range a.of(id) {
				if !yield(a.rank.series[id].text, Point{p.time, p.value}) {
					return
				}
			}
		}
	}
}

// Point is one value of a series.
type Point struct {
	Time  int64 // milliseconds since the epoch
	Value float64
}

// handedOver moves a cursor to a position after its scrape was taken.
func (h *Hub) handedOver(c *cursor, to uint64, a *arrangement) {
	passed := h.log.advance(c, to)
	if passed == 0 {
		return // another scrape of this cursor was faster
	}
	h.metrics.handedOver(c, passed, a)
	now := time.Now()
	h.table.touch(a.counts, now)
	h.sweep(now)
}

// sweep expires idle series, four times in the time after which a series counts
// as idle.
func (h *Hub) sweep(now time.Time) {
	last := h.lastSweep.Load()
	if now.Unix()-last < int64(h.cfg.IdleSeries/time.Second)/4 || !h.lastSweep.CompareAndSwap(last, now.Unix()) {
		return
	}
	h.expiry.Lock()
	defer h.expiry.Unlock()
	v := h.log.readWaiting()
	expired := h.table.expire(now.Add(-h.cfg.IdleSeries), func(keep func(seriesID)) {
		for s, r := range v.parts() {
			for _, id := range s.ids[r[0]:r[1]] {
				keep(id)
			}
		}
	})
	h.metrics.expired.Add(float64(expired))
}
