package web

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/edgehub/internal/groups"
	"github.com/hubring/hubring/edgehub/internal/handover"
	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/relay"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode/otlp"
)

// Observer takes durations in seconds, as a prometheus.Histogram does.
type Observer interface{ Observe(seconds float64) }

// Config is what the doors have to know.
type Config struct {
	Store   *store.Store
	Intake  *intake.Intake
	Room    *body.Room // for bodies
	Desk    *handover.Desk
	Cursors []string
	Servers map[string]*receipt.Asker // by cursor: who is asked whether a response is stored

	MaxSamples, MaxSeries int // for messages
	MaxConnections        int // likewise
	MaxSeriesBytes        int // of a series that is pushed by remote write
	MaxBodyBytes          int64
	MaxMessageBytes       int64 // of what is pushed by gRPC
	BodyTimeout           time.Duration
	MaxPushes             int
	MaxScrapeSamples      int
	MaxScrapeBytes        int64 // 0 for no bound
	MaxAge, MaxAhead      time.Duration
	OpenMetrics2          bool // who likes it best is answered OpenMetrics 2.0
	GatewayLabel          string
	Name                  string       // of the hub
	Client                *http.Client // by which another hub is reached
	Lifecycle             bool         // whoever may ask it may have the hub hand over what it has

	NoRemoteWrite bool
	OTLP          *otlp.Translator // nil where nobody pushes by OTLP

	Groups      *groups.Set       // nil where nobody pushes to groups
	GroupsAdmin bool              // whoever may push may delete all of them
	GroupFlags  map[string]string // shown
	Version     string            // likewise

	Own         http.Handler // the hub's own metrics
	PushSeconds Observer
	ReadSeconds Observer
	Logger      *slog.Logger
}

// Server serves a store. Its methods may be called from any goroutine.
type Server struct {
	Counts Counts

	cfg      Config
	store    *store.Store
	room     *body.Room
	desk     *handover.Desk
	entrance entrance      // of pushes
	exit     entrance      // of what says that gateways went elsewhere
	pushes   chan struct{} // a place for each push that is taken in
	looks    chan struct{} // a place for each look
	started  time.Time
	lines    lines
	notes    notes
	lookers  lookers
	full     seldom // that there is no room
	dropped  seldom // that samples are of the wrong time
	silent   seldom // that gateways fell silent
	noGroups seldom // that groups cannot be read
	clocks   seldom // that clocks differ
	numbers  receipt.Numbers
	handing  atomic.Pointer[relay.Relay] // nil while nothing is handed over
	moving   sync.RWMutex                // read-locked while a cursor moves and that is counted

	lastScrape atomic.Int64 // when a scraper last came, in milliseconds; 0 before
	retired    atomic.Bool

	pursuits sync.WaitGroup
	ctx      context.Context // ends with Close
	end      context.CancelFunc
}

const maxLooks = 4 // at the same time; they may not take a scraper's place

// New returns the doors of a store. It starts nothing.
func New(cfg Config) *Server {
	s := &Server{
		cfg: cfg, store: cfg.Store, room: cfg.Room, desk: cfg.Desk,
		pushes:  make(chan struct{}, cfg.MaxPushes),
		looks:   make(chan struct{}, maxLooks),
		started: time.Now(),
	}
	s.ctx, s.end = context.WithCancel(context.Background())
	s.lines.init(s)
	s.Counts.GatewaysEnded.expect(moved, silent)
	s.Counts.RejectedEnds.expect(endReasons...)
	s.Counts.RejectedPushes.expect(reasons...)
	s.Counts.RejectedSamples.expect(reasons...)
	s.Counts.LeftOut.expect(leftReasons...)
	s.Counts.RefusedReads.expect(readReasons...)
	s.Counts.ExtrasLeftOut.expect(histograms, exemplars, starts, cut)
	s.Counts.Handovers.expect(handoverResults...)
	s.Counts.RejectedGroupPushes.expect(groupReasons...)
	if _, is := cfg.Store.Disk(); is {
		for _, words := range []*Words{&s.Counts.RejectedEnds, &s.Counts.RejectedPushes, &s.Counts.RejectedSamples} {
			words.expect(storageReasons...)
		}
		s.Counts.RejectedGroupPushes.expect(storageReasons...)
		s.Counts.RefusedReads.expect(store.Unavailable, store.Replaying)
	}
	for _, words := range []*Words{&s.Counts.ScrapedBy, &s.Counts.HandedOver, &s.Counts.Unconfirmed, &s.Counts.Conflicts, &s.Counts.Proxied} {
		words.expect(cfg.Cursors...)
	}
	for cursor := range cfg.Servers {
		for _, result := range queryResults {
			s.Counts.Queries.expect(cursor + "\x00" + result)
		}
	}
	return s
}

// Close ends what asks servers, and waits for it.
func (s *Server) Close() {
	s.end()
	s.pursuits.Wait()
}

// CloseEntrance lets no push in any more. What it returns is closed once none is under
// way.
func (s *Server) CloseEntrance() <-chan struct{} { return s.entrance.close() }

// CloseExit does so for what says that gateways went elsewhere.
func (s *Server) CloseExit() <-chan struct{} { return s.exit.close() }

// PushesUnderWay is the number of pushes that are being read or taken in.
func (s *Server) PushesUnderWay() int { return s.entrance.count() }

// PushesInFlight is the number of pushes that are being taken in, and the most there may be.
func (s *Server) PushesInFlight() (now, most int) { return len(s.pushes), cap(s.pushes) }

// LastScrape is when a scraper last came, or the zero time.
func (s *Server) LastScrape() time.Time {
	if ms := s.lastScrape.Load(); ms != 0 {
		return time.UnixMilli(ms)
	}
	return time.Time{}
}

// Retire makes the hub say that it is not ready.
func (s *Server) Retire() { s.retired.Store(true) }

// stopping says whether the hub takes no more pushes.
func (s *Server) stopping() bool { return s.retired.Load() || s.entrance.closed() }
