package send

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hubring/hubring/exporter/internal/push"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/internal/verdict"
)

// Teller is the goroutine that tells one hub which gateways left it. It is none of the
// hub's senders: samples never wait for a place.
type Teller struct {
	Means
	notices *queue.Notices
}

// Run works until the hub has left the ring for long, or ctx ends.
func (t *Teller) Run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		todo, hub, lines, wait := t.Queue.NextTell(t.notices, time.Now())
		switch todo {
		case queue.Stop:
			return
		case queue.Transmit:
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
		case <-t.notices.Wake:
		}
	}
}

// tell makes one request, and notes how it ended.
func (t *Teller) tell(ctx context.Context, hub queue.Hub, lines []queue.Line) {
	body := make([]byte, 0, 32*len(lines)) // not used again: a transport may read it still when the answer is there
	for _, l := range lines {
		body = append(body, url.QueryEscape(l.Key())...)
		body = append(body, ' ')
		body = strconv.AppendInt(body, l.At, 10)
		body = append(body, '\n')
	}
	settings := t.Push
	settings.URL, settings.Timeout, settings.Coding = hub.URL, min(settings.Timeout, queue.EndsTimeout), new(push.Coding)
	res := push.New(settings).Tell(ctx, body)
	heard := heardIn(res)
	t.Queue.LandedEnds(t.notices, lines, heard, res.Wait, time.Now())
	switch heard {
	case queue.HeardUnknown:
		t.Limits.Log("ends "+hub.Name, slog.LevelInfo, "A hub does not know of gateways that left it, it is an older one: "+
			"their series end by themselves", "hub", hub.Name, "answer", res.Detail, "asked_again_in", queue.DeafTime)
	case queue.HeardNothing:
		msg := "A hub refuses to be told of gateways that left it, fewer are tried"
		if len(lines) == 1 {
			msg = "A hub refuses to be told of a gateway that left it, that is dropped"
		}
		t.Limits.Log("ends "+hub.Name, slog.LevelWarn, msg, "hub", hub.Name, "gateways", len(lines), "gateway", lines[0].Key(), "answer", res.Detail)
	case queue.HeardFailure:
		t.Limits.Log("ends "+hub.Name, slog.LevelInfo, "A hub cannot be told of gateways that left it, they wait", "hub", hub.Name,
			"gateways", len(lines), "reason", res.Detail)
	case queue.HeardAll, queue.HeardCut:
	}
}

// heardIn decides about an answer.
func heardIn(res verdict.Result) queue.Heard {
	switch {
	case res.Outcome == verdict.Delivered:
		return queue.HeardAll
	case res.Outcome == verdict.Cut:
		return queue.HeardCut
	case res.Known && (res.Status == http.StatusNotFound || res.Status == http.StatusMethodNotAllowed || res.Status == http.StatusNotImplemented):
		return queue.HeardUnknown
	case res.Outcome == verdict.Refused:
		return queue.HeardNothing
	}
	return queue.HeardFailure
}
