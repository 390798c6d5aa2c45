package edgehub

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/groups"
	"github.com/hubring/hubring/edgehub/internal/handover"
	"github.com/hubring/hubring/edgehub/internal/intake"
	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/edgehub/internal/web"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/exposition"
)

// Hub holds the series and samples, and serves them over HTTP. Its methods may
// be called from any goroutine.
type Hub struct {
	cfg   Config
	store *store.Store
	web   *web.Server
	desk  *handover.Desk
	room  *body.Room

	groups *groups.Set // nil without
	id     []string    // of HubHeader
}

// New makes a hub from a config. Its error names every fault
// of the config, or a metric that the Registerer has already. Close ends it. Where there is a disk
// it is opened and read behind New's back: see Config.StoragePath.
func New(cfg Config) (*Hub, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("configure hub: %w", err)
	}
	servers := map[string]*receipt.Asker{}
	for cursor, s := range cfg.Servers {
		asker, err := receipt.NewAsker(s.URL, s.Client, 0)
		if err != nil {
			return nil, fmt.Errorf("configure hub: the server of cursor %q: %w", cursor, err)
		}
		servers[cursor] = asker
	}
	translator, err := cfg.otlp()
	if err != nil {
		return nil, fmt.Errorf("configure hub: OTLP: %w", err)
	}
	h := &Hub{
		cfg: cfg,
		store: store.New(store.Config{
			Series:     series.Limits{Series: cfg.MaxSeries, GatewaySeries: cfg.MaxGatewaySeries, TableBytes: cfg.MaxTableBytes},
			Samples:    cfg.MaxSamples,
			Newest:     cfg.Policy == Newest,
			IdleSeries: cfg.IdleSeries,
			Scrapers:   cfg.Cursors,
			Times:      samples.Times{MaxAge: cfg.MaxAge, MaxAhead: cfg.MaxAhead, Ahead: ahead(cfg.Cursors, servers)},
			Own:        ownSeries(cfg),
			EndsAfter:  cfg.EndsAfter,
		}),
		room: body.NewRoom(cfg.MaxBodiesBytes),
		id:   []string{exposition.HubID{Version: cfg.Version, Name: cfg.Name}.String()},
	}
	h.desk = handover.NewDesk(handover.Config{
		MaxSenders: cfg.MaxConnections, Spare: spareConnections,
		Notice: func(n handover.Notice) { h.web.Noticed(n) },
	})
	in := intake.New(intake.Config{
		Limits:       exposition.Limits{SeriesBytes: cfg.MaxSeriesBytes, Labels: cfg.MaxLabels},
		GatewayLabel: cfg.GatewayLabel,
		MaxSamples:   cfg.MaxSamples,
		Reserved:     []string{receipt.Name, firstSample},
	}, h.store, h.room)
	pushSeconds, scrapeSeconds := newHistograms()
	histograms := []prometheus.Collector{pushSeconds, scrapeSeconds}
	if cfg.StoragePath != "" {
		flushSeconds := newFlushHistogram()
		histograms = append(histograms, flushSeconds)
		sync, _ := journal.ParseSync(cfg.StorageSync) // which validate has read
		h.store.Keep(store.DiskConfig{
			Journal: journal.Config{Dir: cfg.StoragePath, Sync: sync, Synced: flushSeconds.Observe},
			Bytes:   cfg.MaxStorageBytes, Logger: cfg.Logger, Read: in.Reader(),
			Made: func(m samples.Made) { h.web.Made(m) },
		})
	}
	h.groups = newGroups(cfg)
	h.web = web.New(web.Config{
		Groups: h.groups, GroupsAdmin: cfg.EnableGroupAdmin, GroupFlags: groupFlags(cfg), Version: cfg.Version,
		NoRemoteWrite: cfg.NoRemoteWrite, OTLP: translator, MaxSeriesBytes: cfg.MaxSeriesBytes,
		Store: h.store, Intake: in, Room: h.room, Desk: h.desk,
		Cursors: cfg.Cursors, Servers: servers,
		MaxSamples: cfg.MaxSamples, MaxSeries: cfg.MaxSeries, MaxConnections: cfg.MaxConnections,
		MaxBodyBytes: cfg.MaxBodyBytes, MaxMessageBytes: cfg.MaxMessageBytes, BodyTimeout: cfg.BodyTimeout, MaxPushes: cfg.MaxPushes,
		MaxScrapeSamples: cfg.MaxScrapeSamples, MaxScrapeBytes: cfg.MaxScrapeBytes,
		MaxAge: cfg.MaxAge, MaxAhead: cfg.MaxAhead, OpenMetrics2: cfg.OpenMetrics2, GatewayLabel: cfg.GatewayLabel,
		Name: cfg.Name, Client: cfg.HandoverClient, Lifecycle: cfg.EnableLifecycle,
		Own: own(cfg.Registerer), PushSeconds: pushSeconds, ReadSeconds: scrapeSeconds, Logger: cfg.Logger,
	})
	if err := h.register(in, histograms...); err != nil {
		h.Close(context.Background())
		return nil, fmt.Errorf("register the hub's metrics: %w", err)
	}
	h.store.Open()
	return h, nil
}

// ahead is by how much the clock of the servers is ahead of the hub's, as the first says that is known.
func ahead(cursors []string, servers map[string]*receipt.Asker) func() time.Duration {
	return func() time.Duration {
		for _, cursor := range cursors {
			if asker := servers[cursor]; asker != nil {
				if by, known := asker.Ahead(); known {
					return by
				}
			}
		}
		return 0
	}
}

// own serves the hub's own metrics.
func own(r prometheus.Registerer) http.Handler {
	if g, ok := r.(prometheus.Gatherer); ok {
		return promhttp.HandlerFor(g, promhttp.HandlerOpts{Registry: r})
	}
	return http.NotFoundHandler()
}

// Close ends what the hub does by itself: it asks servers what they have stored, and
// waits for the other end of connections that the server has closed, which it does a last
// time here, until ctx ends. A log on disk is closed. Call it when nothing is served any more.
func (h *Hub) Close(ctx context.Context) {
	h.desk.Close(ctx)
	h.web.Close()
	h.store.Close()
}

// Format says how the bytes of a push are to be read.
type Format int

const (
	// Text is Prometheus' text format, version 0.0.4.
	Text Format = iota
	// OpenMetrics is OpenMetrics text, version 1.0. It need not end with # EOF.
	OpenMetrics
	// Protobuf is io.prometheus.client.MetricFamily messages, each with its length in front.
	Protobuf
)

var formats = map[Format]door.Format{Text: door.Text, OpenMetrics: door.OpenMetrics, Protobuf: door.Protobuf}

// RefusedError is why a push was not taken.
type RefusedError struct {
	Status int    // of HTTP: what the hub would have answered
	Reason string // in one word, as in edgehub_pushes_rejected_total
	text   string
}

func (e *RefusedError) Error() string { return e.text }

// Push takes in a body as a POST would, all of its samples or none, and returns how many
// there are. It does not keep the body. Its error is a *RefusedError, or that of
// ctx, which is looked at before.
func (h *Hub) Push(ctx context.Context, format Format, body []byte) (samples int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	f, known := formats[format]
	if !known {
		return 0, &RefusedError{http.StatusUnsupportedMediaType, "content_type", fmt.Sprintf("the format %d is not supported", format)}
	}
	n, refused := h.web.Push(f, body)
	if refused != nil {
		return 0, &RefusedError{refused.Status, refused.Reason, refused.Text}
	}
	return n, nil
}

// Stats is what a hub did since it started, in samples, and what it holds.
type Stats struct {
	Received     uint64 // taken into the log
	Scraped      uint64 // passed by a cursor, each scraper counted
	Dropped      uint64 // passed by a cursor, but too old, too far ahead or set aside, and not written
	HandedOver   uint64 // passed by a cursor since another hub has them (Handover), each scraper counted
	LetGo        uint64 // given up under the policy Newest, to make room
	Series       int    // known, but for the hub's own
	FirstSamples uint64 // written by the hub itself: the times of gateways' first samples
	Markers      uint64 // likewise: ends of series

	// LeftBehind were given up for a scraper that was so far behind that they were in
	// the way, since another one has them; each scraper counted, those in parts about.
	LeftBehind uint64
	Pending    int // that no scraper has or was handed; what MaxSamples bounds
	Unsure     int // that a scraper was handed and may not have
	Behind     int // that the scraper furthest behind has not got for sure

	Stored bool // what waits is on disk (Config.StoragePath), so that it outlives the hub
}

// Stats returns exact counts.
func (h *Hub) Stats() Stats {
	counts := &h.web.Counts
	pending, _ := h.store.Log.Pending()
	firsts, markers := h.store.Log.Written()
	return Stats{
		Received:     counts.Received.Load(),
		Scraped:      counts.Scraped.Load(),
		Dropped:      counts.Dropped(),
		HandedOver:   counts.HandedOver.Sum(),
		LetGo:        counts.LetGo.Load(),
		Series:       h.store.Table().Size(),
		FirstSamples: firsts, Markers: markers,

		LeftBehind: h.store.Log.LeftBehind(),
		Pending:    pending,
		Unsure:     h.store.Log.Unsure(),
		Behind:     h.store.Log.Behind(),
		Stored:     h.cfg.StoragePath != "",
	}
}

// Point is one value of a series.
type Point struct {
	Time  int64 // milliseconds since the epoch
	Value float64
}

// Pending yields every sample that some scraper may not have got yet, which where one
// of several is behind are more than Stats.Pending, as a scrape would write them: the
// series' canonical text, the time in milliseconds since the epoch and the value. Native histograms
// are left out, which have none. Nothing is taken.
func (h *Hub) Pending() iter.Seq2[string, Point] {
	return func(yield func(string, Point) bool) {
		v, rank := h.store.ReadWaiting()
		a := arrange.Arrange(v, rank, arrange.Everything)
		for _, id := range rank.Order {
			for _, p := range a.Of(id) {
				if p.Native() {
					continue
				}
				if !yield(rank.Text(id), Point{p.Time, p.Value}) {
					return
				}
			}
		}
	}
}

// lastScrapeAge says how long ago a scraper came, in words.
func (h *Hub) lastScrapeAge() string {
	last := h.web.LastScrape()
	if last.IsZero() {
		return "never"
	}
	return time.Since(last).Round(time.Second).String() + " ago"
}
