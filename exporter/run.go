package exporter

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/send"
	"github.com/hubring/hubring/internal/spool"
)

// Run sends what is submitted until ctx ends. Then Submit refuses, and Run goes
// on sending what is queued, without waiting for fuller requests, until nothing
// is left or Config.FlushTimeout has passed. What is left then goes to
// Config.SpoolDir, if there is one. Run returns when every goroutine of the
// exporter has ended: nil, or an *UndeliveredError if samples were dropped, which
// includes those in requests that had to be cut off.
//
// A SpoolDir that cannot be used, or fails, ends nothing: samples stay in memory, and it is
// tried again (hubring_exporter_spool_up). Run may be called once; another call returns an error.
//
// Wait for it before the process ends: what is queued is lost otherwise. Who has no group of
// goroutines that it could be one of uses Start and Close.
func (e *Exporter) Run(ctx context.Context) error {
	if e.ran.Swap(true) {
		return errors.New("exporter: Run was called before, or the exporter is Start's: make another one with New")
	}
	return e.run(ctx, context.Background())
}

// run is Run, but for the check. It does not go on sending when hurry has ended.
func (e *Exporter) run(ctx, hurry context.Context) error {
	defer e.finished.Store(true)
	disk := e.disk
	disk.Begin()
	// ctx ends the taking in, work the sending.
	work, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	var sending, telling, spooling, asking, logging, dropping sync.WaitGroup
	var joining sync.Mutex // of hubs; closed guards sending against more of them
	closed := false
	change := func(do func() (joined []*queue.Outbox, err error)) error {
		joining.Lock()
		defer joining.Unlock()
		if closed {
			return nil
		}
		joined, err := do()
		e.send(work, &sending, &telling, disk, joined)
		return err
	}
	if e.cfg.Inventory != nil { // before anything is sent that would go elsewhere then
		e.askInventory(ctx, change)
		asking.Go(func() { e.followInventory(ctx, change) })
	}
	e.send(work, &sending, &telling, disk, e.queue.Current())
	logging.Go(func() { e.limits.Run(work) })
	dropped, allDropped := context.WithCancel(context.WithoutCancel(ctx))
	defer allDropped()
	dropping.Go(func() { e.drops.run(dropped) })
	if disk != nil {
		spooling.Go(func() { disk.Run(work) })
	}
	if e.watcher != nil {
		asking.Go(func() {
			e.watcher.Run(ctx, func(hubs []Hub) error {
				return change(func() ([]*queue.Outbox, error) { return e.changeHubs(hubs) })
			})
		})
	}
	for _, g := range e.cfg.Gather {
		asking.Go(func() { e.gatherEvery(ctx, g) })
	}
	<-ctx.Done()
	joining.Lock()
	closed = true
	joining.Unlock()
	e.queue.Close(cut)
	deadline := time.AfterFunc(e.cfg.FlushTimeout, cut)
	defer deadline.Stop()
	defer context.AfterFunc(hurry, cut)()
	sending.Wait()
	telling.Wait()
	cut()
	spooling.Wait()
	disk.Close()
	e.idle()
	err := e.giveUp()
	asking.Wait() // last: what an embedder wrote may take its time
	logging.Wait()
	allDropped()
	dropping.Wait()
	return err
}

// newDisk returns the spooler for Config.SpoolDir, or nil.
func (e *Exporter) newDisk() *send.Spooler {
	if e.cfg.SpoolDir == "" {
		return nil
	}
	open := func() (send.Disk, error) {
		return e.cfg.openDisk(spool.Config{Dir: e.cfg.SpoolDir, MaxBytes: e.cfg.SpoolBytes})
	}
	return send.NewSpooler(e.queue, open, e.metrics.Metrics, e.limits)
}

// giveUp drops what is left, and says so if there is something.
func (e *Exporter) giveUp() error {
	left := e.queue.GiveUp()
	if left.Samples == 0 {
		return nil
	}
	return &UndeliveredError{Samples: left.Samples, Gateways: left.Gateways, Bytes: left.Bytes, Kept: left.Kept}
}

// send starts the senders of new outboxes, and a teller for each hub that has none.
func (e *Exporter) send(ctx context.Context, running, telling *sync.WaitGroup, disk *send.Spooler, joined []*queue.Outbox) {
	m := send.Means{
		Queue: e.queue, Spool: disk, Metrics: e.metrics.Metrics, Limits: e.limits, MinBackoff: e.cfg.MinBackoff,
		Push: push.Settings{Transport: e.transport, Timeout: e.cfg.PushTimeout, Others: e.cfg.Receivers == HubsAndOthers},
	}
	for _, o := range joined {
		if e.queue.Man(o) {
			telling.Go(func() { m.Teller(o.Notices).Run(ctx) })
		}
		for _, s := range m.Senders(o, e.cfg.Senders) {
			running.Go(func() { s.Run(ctx) })
		}
	}
}
