package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	dto "github.com/prometheus/client_model/go"

	"github.com/hubring/hubring/exporter/internal/encode"
	"github.com/hubring/hubring/exporter/internal/loglimit"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/roster"
	"github.com/hubring/hubring/exporter/internal/send"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/hashring/placement"
)

// The errors of Submit, Push and Flush. They come wrapped; use errors.Is.
var (
	// ErrQueueFull: the samples do not fit into Config.MaxQueueBytes now, or they are of a
	// hub or a gateway that has more than its share of it, which the message names.
	ErrQueueFull = queue.ErrFull
	// ErrClosed: Run's context has ended.
	ErrClosed = queue.ErrClosed
	// ErrNotKept: Config.SpoolPolicy is SpoolAll, and the samples could not be written to SpoolDir.
	ErrNotKept = queue.ErrNotKept
	// ErrDropped: samples that a Push waited for had to make room for newer
	// ones, or Run ended before a hub took them.
	ErrDropped = errors.New("dropped before a hub took them")
)

// UndeliveredError says what Run could not deliver before it returned, and did
// not leave in Config.SpoolDir either.
type UndeliveredError struct {
	Samples  int
	Gateways int // whose samples they are; those of no gateway do not count
	Bytes    int // of memory
	Kept     int // samples in SpoolDir: they are not lost, the next Run sends them
}

// Error implements error.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%d samples of %d gateways (%d bytes) were not delivered before the end, and are dropped",
		e.Samples, e.Gateways, e.Bytes)
}

// Exporter takes metrics in and sends each gateway's to its home among the hubs.
// All methods may be called from any number of goroutines.
type Exporter struct {
	cfg       Config
	queue     *queue.Queue
	disk      *send.Spooler // nil if there is none
	metrics   *metrics
	keys      keys
	labels    encode.Labels
	drops     *drops
	watcher   *roster.Watcher // nil if the hubs are listed in the config
	limits    *loglimit.Limits
	transport http.RoundTripper
	idle      func() // closes the idle connections of a transport of our own
	ran       atomic.Bool
	finished  atomic.Bool // Run has ended

	background *background // of an exporter of Start, or nil

	// Who changes the ring is alone: New, and what Run guards by a mutex.
	hubs   []Hub
	placed atomic.Pointer[placement.Placement] // nil if there is none
	unfit  atomic.Bool                         // it does not fit the hubs that there are now

	method      atomic.Pointer[string] // how the hubs became the ring
	misplacedBy atomic.Pointer[error]  // why the last answer of Config.Inventory is not followed, or nil
}

// New returns an exporter. It starts nothing and connects to nothing: samples
// that are submitted before Run wait. The error joins every problem of cfg, or
// says that cfg.Registerer has the metrics of an exporter whose Run has not ended.
func New(cfg Config) (*Exporter, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("exporter config: %w", err)
	}
	e := &Exporter{
		cfg: cfg, keys: keys{known: map[string]string{}}, limits: loglimit.New(cfg.Logger),
		transport: cfg.Transport, idle: func() {},
	}
	e.labels, _ = encode.NewLabels(cfg.Labels) // Validate has seen its error
	e.metrics = newMetrics()
	e.drops = newDrops(cfg.OnDrop, e.metrics.dropsMissed)
	e.queue = queue.New(e.queueSettings())
	e.disk = e.newDisk()
	if cfg.Members != nil {
		e.watcher = roster.New(cfg.Members.Hubs, roster.Settings{
			Interval: cfg.MembersInterval, Timeout: cfg.PushTimeout, Hold: cfg.MembersHold, Log: cfg.Logger, Random: cfg.random,
			Takes: e.queue.Takes,
		})
	} else if _, _, err := e.setHubs(cfg.Hubs); err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}
	if err := e.register(); err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}
	if e.transport == nil {
		e.transport, e.idle = defaultTransport(cfg.Senders)
	}
	return e, nil
}

// queueSettings are what the queue has to know of the config.
func (e *Exporter) queueSettings() queue.Settings {
	c := &e.cfg
	return queue.Settings{
		MaxBytes: c.MaxQueueBytes, BatchBytes: c.BatchBytes, BatchWait: c.BatchWait,
		WaitForOwner: c.Failover == WaitForOwner, DropOldest: c.Overflow == DropOldest, Disk: c.SpoolDir != "",
		TellEnds: !c.NoEnds, EndsDelay: c.EndsDelay,
		MinBackoff: c.MinBackoff, MaxBackoff: c.MaxBackoff, CatchUp: c.CatchUp, Random: c.random,
		Dropped: func(d queue.Dropped) {
			e.drops.note(Drop{Reason: d.Why.String(), Gateway: d.Gateway, Samples: d.Samples})
		},
	}
}

// defaultTransport returns what carries requests if the config does not say, and what closes
// its idle connections. What an embedder has put in the place of net/http's own, which may be
// any type, is used as it is.
func defaultTransport(senders int) (transport http.RoundTripper, idle func()) {
	common, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport, func() {}
	}
	own := common.Clone()
	own.MaxIdleConnsPerHost = senders + 2 // and a probe, and a teller
	own.MaxIdleConns = 0
	return own, own.CloseIdleConnections
}

// Submit takes the families in and returns; it never touches the network and
// does not modify or keep what it is given. With SpoolAll it waits until they are on disk, and for
// Run to begin, at most until ctx ends.
//
// With a *RejectedError some samples could not be encoded and were left out; the
// rest was taken in, so do not submit all of it again. With any other error
// nothing was taken in: it is ctx's if that has ended, or wraps ErrClosed,
// ErrQueueFull or ErrNotKept. (If the process is killed before what such a Submit wrote is taken back, the next Run
// sends that all the same.)
func (e *Exporter) Submit(ctx context.Context, families []magma.MetricAndContext) error {
	if _, err := e.submit(ctx, families, false); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// SubmitFamilies is Submit for families whose labels say all there is to say. No
// label is set but those of Config.Labels. The key decides which hub is their home, as a gatewayID does;
// with an empty one it is the home of all that is of no gateway. A hub is told by the
// key when they go to another one (see Config.NoEnds), and looks for it among the values
// of the label gatewayID.
func (e *Exporter) SubmitFamilies(ctx context.Context, key string, families []*dto.MetricFamily) error {
	items := make([]magma.MetricAndContext, len(families))
	from := &encode.KeyContext{Key: key}
	for i, f := range families {
		items[i] = magma.MetricAndContext{Family: f, Context: magma.MetricContext{AdditionalContext: from}}
	}
	return e.Submit(ctx, items)
}

// Push is Submit that returns when hubs have acknowledged the samples. They do not
// wait for others to share a request.
//
// With a *RejectedError some samples could not be encoded or a hub refused them;
// the others arrived unless the error wraps another one, too. ErrDropped: some
// were dropped on the way. If ctx ends first its error is returned: the samples
// stay queued, and will be sent, or, with SpoolAll, were not taken in if they were not on disk by then. ErrQueueFull,
// ErrNotKept and ErrClosed are Submit's.
//
// Without a Run nobody sends, and Push waits for ctx.
func (e *Exporter) Push(ctx context.Context, families []magma.MetricAndContext) error {
	ack, err := e.submit(ctx, families, true)
	if ack == nil {
		return fmt.Errorf("push: %w", err)
	}
	select {
	case <-ack.Done:
		if err := ack.err(); err != nil {
			return fmt.Errorf("push: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("push: %d samples are still queued: %w", e.queue.WaitingFor(ack.Receipt), context.Cause(ctx))
	}
}

// submit encodes and queues. It returns a receipt if one is wanted and the samples
// were taken in; the error is a *RejectedError then, if there is one.
func (e *Exporter) submit(ctx context.Context, families []magma.MetricAndContext, wanted bool) (ack *awaited, err error) {
	if err := ctx.Err(); err != nil {
		e.queue.Refuse(reason.Cancelled, encode.Count(families))
		return nil, err
	}
	if e.queue.IsClosed() { // spares the work; the queue decides
		e.queue.Refuse(reason.Closed, encode.Count(families))
		return nil, ErrClosed
	}
	now := time.Now()
	enc := encode.New(now, e.cfg.AsGauges)
	defer enc.Release()
	enc.Labels = e.labels
	enc.Encode(families)
	for why := range enc.Dropped {
		if d := &enc.Dropped[why]; d.Samples > 0 {
			e.limits.Later(reason.Reason(why), "Samples cannot be sent, they are dropped", func() []any {
				text := func(name, value string) slog.Attr { return slog.String(name, strings.Clone(value)) } // it is the caller's
				return []any{
					slog.String("reason", reason.Reason(why).String()), slog.Int("samples", d.Samples), text("network", d.First.Network),
					text("gateway", d.First.Gateway), text("metric", d.First.Metric), text("label", d.First.Label),
				}
			})
		}
	}
	for _, b := range enc.Bodies {
		b.Key = e.keys.own(b.Key)
	}
	var few [32]*queue.Parcel
	parcels := queue.ParcelsOf(few[:0], enc.Bodies)
	rejected := rejection(enc)
	if wanted {
		ack = newAwaited(parcels, rejected)
	}
	var leftOut [reason.NumEncoding]int
	for why := range enc.Dropped {
		leftOut[why] = enc.Dropped[why].Samples
	}
	var waits *queue.Receipt
	if ack != nil {
		waits = ack.Receipt
	}
	if err := e.take(ctx, parcels, &leftOut, waits, now); err != nil {
		return nil, err
	}
	e.drops.encoded(enc)
	if rejected != nil {
		return ack, rejected
	}
	return ack, nil
}

// take queues parcels, which are on disk before if the config wants that, or releases them.
func (e *Exporter) take(ctx context.Context, parcels []*queue.Parcel, leftOut *[reason.NumEncoding]int, ack *queue.Receipt, now time.Time) error {
	if e.cfg.SpoolPolicy == SpoolAll {
		return e.disk.Keep(ctx, parcels, leftOut, ack, now)
	}
	err := e.queue.Submit(parcels, leftOut, ack, now)
	if err != nil {
		for _, p := range parcels {
			p.Release()
		}
	}
	return err
}

// Flush sends what is queued, without waiting for fuller requests, and returns
// when everything that was submitted before the call has been delivered or
// dropped. If ctx ends first its error is returned, and the rest goes on being
// sent. The error wraps ErrClosed if Run ended before.
func (e *Exporter) Flush(ctx context.Context) error {
	f := e.queue.Flush()
	select {
	case err := <-f.Done:
		if err != nil {
			return fmt.Errorf("flush: %w", err)
		}
		return nil
	case <-ctx.Done():
		e.queue.Abandon(f)
		return fmt.Errorf("flush: %w", context.Cause(ctx))
	}
}
