package edgehub

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
)

// drainReport is how often a hub that drains says what it waits for.
const drainReport = 5 * time.Second

// Drain stops the hub so that nothing is lost. From the call on a push is answered
// with 503 and the reason "stopping", so that its sender turns to another hub at
// once, and the hub is not ready. Drain waits for the pushes under way, and then
// until every scraper has everything, which the hub goes on serving. One scrape of each
// cursor or part is enough, unless it is further behind than one response
// holds. Until then the hub is told which gateways went elsewhere (End), so that their
// series end here. What was handed over before and is not confirmed yet the scraper confirms
// by coming again; if it comes over another connection it may get it again.
//
// Drain returns nil when nothing waits, at once if nothing did; Stats has counted
// everything then. When ctx ends before, and samples are left, Drain returns an error
// that says how many and wraps the cause of ctx. Meanwhile it logs every five
// seconds what it waits for.
//
// The server has to accept connections until Drain returns, and is shut down then.
// A hub that drains does not take pushes again. Drain may be called from
// several goroutines, and each call waits.
func (h *Hub) Drain(ctx context.Context) error {
	wait := &vigil{hub: h, ctx: ctx, report: time.NewTicker(drainReport)}
	defer wait.report.Stop()
	pushed := h.web.CloseEntrance()
	wait.log()
	err := wait.until(pushed)
	if err == nil {
		err = wait.untilNothingIsLeft()
	}
	ended := h.web.CloseExit()
	if err == nil {
		err = wait.until(ended)
	}
	if err == nil {
		err = wait.untilNothingIsLeft()
	}
	if err != nil {
		h.Retire()
	}
	h.web.Settled()
	left := h.store.Log.Behind()
	if pushes := h.web.PushesUnderWay(); left > 0 || pushes > 0 {
		handed := ""
		if unsure := h.store.Log.Unsure(); unsure > 0 {
			handed = fmt.Sprintf(" (%d were handed over and are not known to have arrived)", unsure)
		}
		return fmt.Errorf("drain the hub: %d samples wait for a scrape%s, %d pushes are under way: %w", left, handed, pushes, err)
	}
	return nil
}

// vigil is a wait that says now and then what it waits for.
type vigil struct {
	hub    *Hub
	ctx    context.Context
	report *time.Ticker
}

// until waits for a channel to be closed. Its error is the cause of the context's end.
func (v *vigil) until(closed <-chan struct{}) error {
	for {
		select {
		case <-closed:
			return nil
		case <-v.ctx.Done():
			return context.Cause(v.ctx)
		case <-v.report.C:
			v.log()
		}
	}
}

// untilNothingIsLeft waits until each scraper has everything.
func (v *vigil) untilNothingIsLeft() error {
	for {
		left, moved := v.hub.store.Log.Left()
		if left == 0 {
			return nil
		}
		if err := v.until(moved); err != nil {
			return err
		}
	}
}

// log says what is waited for, if anything is.
func (v *vigil) log() {
	left := v.hub.store.Log.Behind()
	pushes := v.hub.web.PushesUnderWay()
	if left == 0 && pushes == 0 {
		return
	}
	args := []any{"samples", left, "pushes_under_way", pushes, "last_scrape", v.hub.lastScrapeAge()}
	if behind := behind(v.hub.store.Log.Lags()); behind != "" {
		args = append(args, "behind", behind)
	}
	if end, ok := v.ctx.Deadline(); ok {
		args = append(args, "up_to", time.Until(end).Round(time.Second))
	}
	v.hub.cfg.Logger.Info("waiting for a scrape of what was pushed", args...)
}

// behind names the cursors, and of split ones the parts, that lack something. A
// hub with one whole cursor names none.
func behind(lags []samples.Lag) string {
	var names []string
	for _, l := range lags {
		if l.Samples == 0 {
			continue
		}
		name := l.Scraper
		if l.Parts > 1 {
			name = strings.TrimSpace(fmt.Sprintf("%s %d/%d", name, l.Part, l.Parts))
		}
		if name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}
