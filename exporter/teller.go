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
	means
	notices *notices
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
func (t *teller) tell(ctx context.Context, hub queueHub, lines []line) {
	body := make([]byte, 0, 32*len(lines)) // not used again: a transport may read it still when the answer is there
	for _, l := range lines {
		body = append(body, url.QueryEscape(l.key())...)
		body = append(body, ' ')
		body = strconv.AppendInt(body, l.at, 10)
		body = append(body, '\n')
	}
	settings := t.push
	settings.URL, settings.Timeout, settings.Coding = hub.url, min(settings.Timeout, endsTimeout), new(push.Coding)
	res := push.New(settings).Tell(ctx, body)
	heard := heardIn(res)
	t.router.landedEnds(t.notices, lines, heard, res.Wait, time.Now())
	switch heard {
	case heardUnknown:
		t.limits.other("ends "+hub.name, slog.LevelInfo, "A hub does not know of gateways that left it, it is an older one: "+
			"their series end by themselves", "hub", hub.name, "answer", res.Detail, "asked_again_in", deafTime)
	case heardNothing:
		msg := "A hub refuses to be told of gateways that left it, fewer are tried"
		if len(lines) == 1 {
			msg = "A hub refuses to be told of a gateway that left it, that is dropped"
		}
		t.limits.other("ends "+hub.name, slog.LevelWarn, msg, "hub", hub.name, "gateways", len(lines), "gateway", lines[0].key(), "answer", res.Detail)
	case heardFailure:
		t.limits.other("ends "+hub.name, slog.LevelInfo, "A hub cannot be told of gateways that left it, they wait", "hub", hub.name,
			"gateways", len(lines), "reason", res.Detail)
	case heardAll, heardCut:
	}
}

// heardIn decides about an answer.
func heardIn(res push.Result) heard {
	switch {
	case res.Outcome == push.Delivered:
		return heardAll
	case res.Outcome == push.Cut:
		return heardCut
	case res.Known && (res.Status == http.StatusNotFound || res.Status == http.StatusMethodNotAllowed || res.Status == http.StatusNotImplemented):
		return heardUnknown
	case res.Outcome == push.Refused:
		return heardNothing
	}
	return heardFailure
}
