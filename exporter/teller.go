package exporter

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
)

// teller is the goroutine that tells one hub which gateways left it. It is none of the
// hub's senders: samples never wait for a place.
type teller struct {
	router    *router
	notices   *notices
	transport http.RoundTripper
	limits    *logLimits
}

// run works until the hub has left the ring for long, or ctx ends.
func (t *teller) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		todo, hub, lines, wait := t.router.nextTell(t.notices, time.Now())
		switch todo {
		case stop:
			return
		case transmit:
			t.tell(ctx, hub, lines)
			continue
		default:
		}
		var expired <-chan time.Time
		if wait >= 0 {
			timer.Reset(wait)
			expired = timer.C
		}
		select {
		case <-ctx.Done():
		case <-expired:
		case <-t.notices.wake:
		}
	}
}

// tell makes one request, and notes how it ended.
func (t *teller) tell(ctx context.Context, hub Hub, lines []line) {
	body := make([]byte, 0, 32*len(lines)) // not used again: a transport may read it still when the answer is there
	for _, l := range lines {
		body = append(body, url.QueryEscape(l.end.of.key)...)
		body = append(body, ' ')
		body = strconv.AppendInt(body, l.at, 10)
		body = append(body, '\n')
	}
	r := t.router
	res := heardIn(push.New(push.Settings{
		URL: hub.URL, Transport: t.transport, Timeout: min(r.cfg.PushTimeout, endsTimeout),
		Coding: new(push.Coding), Others: r.cfg.Receivers == HubsAndOthers,
	}).Tell(ctx, body))
	r.landedEnds(t.notices, lines, res, time.Now())
	switch res.heard {
	case heardUnknown:
		t.limits.other("ends "+hub.Name, slog.LevelInfo, "A hub does not know of gateways that left it, it is an older one: "+
			"their series end by themselves", "hub", hub.Name, "answer", res.detail, "asked_again_in", deafTime)
	case heardNothing:
		msg := "A hub refuses to be told of gateways that left it, fewer are tried"
		if len(lines) == 1 {
			msg = "A hub refuses to be told of a gateway that left it, that is dropped"
		}
		t.limits.other("ends "+hub.Name, slog.LevelWarn, msg, "hub", hub.Name, "gateways", len(lines), "gateway", lines[0].end.of.key, "answer", res.detail)
	case heardFailure:
		t.limits.other("ends "+hub.Name, slog.LevelInfo, "A hub cannot be told of gateways that left it, they wait", "hub", hub.Name,
			"gateways", len(lines), "reason", res.detail)
	case heardAll, heardCut:
	}
}

// heard is what a hub made of being told.
type heard int

const (
	heardAll heard = iota
	// heardUnknown: it does not know the request.
	heardUnknown
	// heardNothing: it finds the request wrong, and would again. One of several ends may
	// be at fault.
	heardNothing
	// heardFailure: it may be told again.
	heardFailure
	// heardCut: Run's flush is over.
	heardCut
)

type tellResult struct {
	heard  heard
	detail string
	wait   time.Duration // Retry-After
}

// heardIn decides about an answer.
func heardIn(res push.Result) tellResult {
	t := tellResult{heard: heardFailure, detail: res.Detail, wait: res.Wait}
	switch {
	case res.Outcome == push.Delivered:
		t.heard = heardAll
	case res.Outcome == push.Cut:
		t.heard = heardCut
	case res.Known && (res.Status == http.StatusNotFound || res.Status == http.StatusMethodNotAllowed || res.Status == http.StatusNotImplemented):
		t.heard = heardUnknown
	case res.Outcome == push.Refused:
		t.heard = heardNothing
	}
	return t
}

// fate is what becomes of so many ends in a request; false if they are to be told again.
func (t tellResult) fate(ends int) (endFate, bool) {
	switch t.heard {
	case heardAll:
		return endTold, true
	case heardUnknown:
		return endUnsupported, true
	case heardNothing:
		return endDropped, ends == 1
	default:
		return 0, false
	}
}
