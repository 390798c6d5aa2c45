package exporter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hubring/hubring/hashring"
)

// The errors of Submit. They come wrapped; use errors.Is.
var (
	// ErrQueueFull: the samples do not fit into Config.MaxQueueBytes now.
	ErrQueueFull = errors.New("queue is full")
	// ErrClosed: Run's context has ended.
	ErrClosed = errors.New("exporter is closed")
)

// UndeliveredError says what Run could not deliver before it returned.
type UndeliveredError struct {
	Samples  int
	Gateways int // whose samples they are; those of no gateway do not count
	Bytes    int // of memory
}

// Error implements error.
func (e *UndeliveredError) Error() string {
	return fmt.Sprintf("%d samples of %d gateways (%d bytes) were not delivered within FlushTimeout and are dropped",
		e.Samples, e.Gateways, e.Bytes)
}

// Exporter takes metrics in and sends each gateway's to its home among the hubs.
// All methods may be called from any number of goroutines.
type Exporter struct {
	cfg     Config
	router  *router
	senders []*sender
	drops   *dropLog
	idle    func() // closes the idle connections of a transport of our own
	ran     atomic.Bool
}

// New returns an exporter. It starts nothing and connects to nothing: samples
// that are submitted before Run wait. The error joins every problem of cfg, or
// says that cfg.Registerer has an exporter's metrics already.
func New(cfg Config) (*Exporter, error) {
	cfg = cfg.withDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("exporter config: %w", err)
	}
	nodes := make([]hashring.Node, len(cfg.Hubs))
	for i, h := range cfg.Hubs {
		nodes[i] = hashring.Node{Name: h.Name}
	}
	ring, err := hashring.New(nodes)
	if err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}

	e := &Exporter{cfg: cfg, drops: newDropLog(cfg.Logger), idle: func() {}}
	e.router = newRouter(&e.cfg, ring)
	m := newMetrics(e.router)
	if err := m.register(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}
	transport := cfg.Transport
	if transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		transport, e.idle = own, own.CloseIdleConnections
	}
	for _, o := range e.router.outboxes {
		e.senders = append(e.senders, &sender{
			router: e.router,
			outbox: o,
			pusher: newPusher(o.hub, transport, cfg.PushTimeout, m),
			log:    cfg.Logger,
			drops:  e.drops,
		})
	}
	return e, nil
}

// Submit takes the families in and returns; it never touches the network and
// does not modify or keep what it is given. A metric that cannot be sent is left
// out, counted and logged, and is no error.
//
// With an error nothing was taken in: it is ctx's if that had ended already, or
// wraps ErrClosed or ErrQueueFull.
func (e *Exporter) Submit(ctx context.Context, families []MetricAndContext) error {
	if err := ctx.Err(); err != nil {
		e.router.refuse(submitCancelled, countSamples(families))
		return fmt.Errorf("submit: %w", err)
	}
	if e.router.isClosed() { // spares the work; router.submit decides
		e.router.refuse(submitClosed, countSamples(families))
		return fmt.Errorf("submit: %w", ErrClosed)
	}
	now := time.Now()
	enc := newEncoder(now, false)
	enc.encode(families)
	err := e.router.submit(enc.parcels, &enc.dropped, now)
	for why := range enc.dropped {
		if d := &enc.dropped[why]; d.samples > 0 {
			e.drops.report(reason(why), "Samples cannot be sent, they are dropped", d.samples,
				slog.String("network", d.network), slog.String("gateway", d.gateway), slog.String("metric", d.metric), slog.String("label", d.label))
		}
	}
	enc.release()
	if err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// Run sends what is submitted until ctx ends. Then Submit refuses, and Run goes
// on sending what is queued, without waiting for fuller requests, until nothing
// is left or Config.FlushTimeout has passed. It returns when every goroutine of
// the exporter has ended: nil, or an *UndeliveredError if samples were left,
// which includes those in requests that had to be cut off. Run may be called
// once; another call returns an error at once.
func (e *Exporter) Run(ctx context.Context) error {
	if e.ran.Swap(true) {
		return errors.New("exporter: Run was called before: make another exporter with New")
	}
	// ctx ends the taking in, work the sending.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var senders sync.WaitGroup
	for _, s := range e.senders {
		senders.Go(func() { s.run(work) })
	}
	<-ctx.Done()
	e.router.close(cut)
	deadline := time.AfterFunc(e.cfg.FlushTimeout, cut)
	defer deadline.Stop()
	senders.Wait()
	e.idle()
	if left := e.router.giveUp(); left != nil {
		return left
	}
	return nil
}
