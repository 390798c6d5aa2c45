package edgehub

import (
	"fmt"
	"iter"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Hub holds the series and samples, and serves them over HTTP. Its methods may
// be called from any goroutine.
type Hub struct {
	cfg       Config
	table     atomic.Pointer[table]
	log       *log
	scrapers  map[string]*scraper
	metrics   *metrics
	ingesters sync.Pool     // of *ingester
	entrance  entrance      // of pushes
	pushes    chan struct{} // a place for each push that is taken in
	bodies    room          // memory for the pushes that are read
	scrapes   chan struct{} // a place for each scrape
	looks     chan struct{} // a place for each look
	started   time.Time

	connections connections
	confirmTime time.Duration // see handover.go

	lastSweep  atomic.Int64 // when series were last expired, in Unix seconds
	lastScrape atomic.Int64 // when a scraper last came, in milliseconds; 0 before
	retired    atomic.Bool
	warned     sync.Map // what was said once and need not be again
}

// New makes a hub from a config. It starts nothing. Its error names every fault
// of the config, or a metric that the Registerer has already.
func New(cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure hub: %w", err)
	}
	h := &Hub{
		cfg:      cfg,
		scrapers: map[string]*scraper{},
		pushes:   make(chan struct{}, cfg.MaxPushes),
		scrapes:  make(chan struct{}, maxScrapes),
		looks:    make(chan struct{}, maxLooks),
		started:  time.Now(),
		bodies:   room{limit: cfg.MaxBodiesBytes},

		confirmTime: confirmTime,
		connections: connections{maxSenders: cfg.MaxConnections, open: map[net.Conn]*connection{}},
	}
	h.ingesters.New = h.newIngester
	h.table.Store(newTable(cfg, 0))
	var scrapers []*scraper
	for _, name := range cfg.Cursors {
		s := newScraper(cfg, name)
		h.scrapers[name] = s
		scrapers = append(scrapers, s)
	}
	h.log = newLog(cfg, h.table.Load(), scrapers)
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
	Scraped  uint64 // passed by a cursor, each scraper counted
	Dropped  uint64 // passed by a cursor, but too old or too far ahead to be written
	LetGo    uint64 // given up under the policy Newest, to make room
	Pending  int    // not yet passed by every cursor
	Series   int    // known
}

// Stats returns exact counts.
func (h *Hub) Stats() Stats {
	pending, _ := h.log.waiting()
	return Stats{
		Received: h.metrics.receivedCount.Load(),
		Scraped:  h.metrics.scrapedCount.Load(),
		Dropped:  h.metrics.droppedCount.Load(),
		LetGo:    h.metrics.letGoCount.Load(),
		Pending:  pending,
		Series:   h.table.Load().size(),
	}
}

// Pending yields every sample that some scraper may not have got yet, as a scrape
// would write them: the series' canonical text, the time in milliseconds since
// the epoch and the value. Nothing is taken.
func (h *Hub) Pending() iter.Seq2[string, Point] {
	return func(yield func(string, Point) bool) {
		a := h.waiting()
		for _, id := range a.rank.order {
			for _, p := range a.of(id) {
				if !yield(a.rank.text(id), Point{p.time, p.value}) {
					return
				}
			}
		}
	}
}

// waiting arranges what some scraper has not got, whatever its age.
func (h *Hub) waiting() *arrangement {
	v, t := h.log.readWaiting()
	return arrange(v, t.ranked(), everything)
}

// Point is one value of a series.
type Point struct {
	Time  int64 // milliseconds since the epoch
	Value float64
}

// handedOver moves a cursor after its scrape was taken.
func (h *Hub) handedOver(s *scraper, c *cursor, a *arrangement) {
	now := time.Now()
	// Another scrape of this cursor may have been faster.
	if passed, moved := h.log.advance(c, a); moved {
		h.metrics.handedOver(s, passed)
		h.table.Load().touch(a.shares, now)
	}
	h.sweep(now)
}
