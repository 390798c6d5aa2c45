package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/edgehub/internal/relay"
	"github.com/hubring/hubring/edgehub/internal/store"
)

const (
	handoverPath = "/-/handover"
	// sayHandoverEvery is how often it is said how far handing over is.
	sayHandoverEvery = 2 * time.Second
)

// What becomes of a request to hand over. Others are relay's reasons.
const (
	done        = "done"
	interrupted = "interrupted"
	disabled    = "disabled"
	badTarget   = "bad_target"
	underWay    = "under_way"
	diskFailed  = "storage" // whatever is the matter with it
)

var handoverResults = []string{done, interrupted, disabled, badTarget, underWay, diskFailed, relay.NoHub, relay.Itself, relay.NotTaken, relay.Stopping, relay.Refused}

// Handover gives what no scraper is known to have to the hub at a URL. From the call on no push is let in; unless all is
// given away they are again when it returns. Every two seconds it calls progress, unless that is nil. Its error is a *RefusedError,
// or wraps the cause of ctx.
func (s *Server) Handover(ctx context.Context, to string, progress func(relay.Account)) (a relay.Account, err error) {
	result := done
	defer func() { s.Counts.Handovers.add(result, 1) }()
	r, err := s.beginHandover(ctx, to)
	if err == nil {
		defer s.handing.Store(nil)
		err = s.handOver(ctx, r, progress)
		a = r.Account()
	}
	refused := (*RefusedError)(nil)
	switch {
	case errors.As(err, &refused):
		result = refused.Reason
	case err != nil:
		result = interrupted
	}
	return a, err
}

// beginHandover finds out who is to get what there is, and sees to it that nobody else begins.
func (s *Server) beginHandover(ctx context.Context, to string) (*relay.Relay, error) {
	u, err := url.Parse(to)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, &RefusedError{Status: http.StatusBadRequest, Reason: badTarget, Text: "to whom? add ?to= with the URL of another hub, like http://HOST:PORT or https://HOST:PORT"}
	}
	if err := s.store.Reads(); err != nil {
		return nil, s.handoverRefusal(err)
	}
	r := relay.New(relay.Config{Store: s.store, Client: s.cfg.Client, Name: s.cfg.Name, Pass: s.passHanded}, u)
	if !s.handing.CompareAndSwap(nil, r) {
		return nil, &RefusedError{Status: http.StatusConflict, Reason: underWay, Text: "the hub hands over what it has already; see /-/ready"}
	}
	if err := r.Check(ctx); err != nil {
		s.handing.Store(nil)
		return nil, s.handoverRefusal(err)
	}
	return r, nil
}

// handOver does it while nobody is let in.
func (s *Server) handOver(ctx context.Context, r *relay.Relay, progress func(relay.Account)) error {
	pushed := s.entrance.hold()
	defer s.entrance.letGo()
	ended := make(chan error, 1)
	go func() {
		select {
		case <-pushed:
			ended <- r.Run(ctx)
		case <-ctx.Done():
			ended <- context.Cause(ctx)
		}
	}()
	tick := time.NewTicker(sayHandoverEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil {
				s.entrance.close()
				return nil
			}
			return s.handoverRefusal(err)
		case <-tick.C:
			a := r.Account()
			s.cfg.Logger.Info("handing over to another hub", accountArgs(a)...)
			if progress != nil {
				progress(a)
			}
		}
	}
}

// handoverRefusal is the answer to an error of handing over, but for the end of a context.
func (s *Server) handoverRefusal(err error) error {
	why, storage := (*relay.Error)(nil), (*store.StorageError)(nil)
	switch {
	case errors.As(err, &why) && why.Reason == relay.Itself:
		return &RefusedError{Status: http.StatusUnprocessableEntity, Reason: why.Reason, Text: err.Error()}
	case errors.As(err, &why):
		return &RefusedError{Status: http.StatusBadGateway, Reason: why.Reason, Text: err.Error()}
	case errors.As(err, &storage):
		return &RefusedError{Status: http.StatusServiceUnavailable, Reason: diskFailed, Text: err.Error()}
	}
	return fmt.Errorf("hand over: %w", err)
}

// passHanded counts what cursors pass that another hub has.
func (s *Server) passHanded(pass func() []int) {
	s.moving.RLock()
	defer s.moving.RUnlock()
	for i, n := range pass() {
		s.Counts.HandedOver.add(s.cfg.Cursors[i], n)
	}
}

// handover serves POST /-/handover. It answers when it is known what became of it: a script goes by the status.
func (s *Server) handover(c echo.Context) error {
	if !s.cfg.Lifecycle {
		s.Counts.Handovers.add(disabled, 1)
		return s.answer(c, &RefusedError{Status: http.StatusForbidden, Reason: disabled, Text: "handing over is not enabled; it takes --web.enable-lifecycle"})
	}
	if err := setDeadline(c.Response(), time.Time{}); err != nil {
		return fmt.Errorf("wait for a handover: %w", err)
	}
	a, err := s.Handover(c.Request().Context(), c.QueryParam("to"), nil)
	said, args := sayAccount(a), accountArgs(a)
	refused := (*RefusedError)(nil)
	switch {
	case errors.As(err, &refused):
		s.cfg.Logger.Warn("asked to hand over", append(args, "reason", refused.Reason, "error", err)...)
		answer := *refused
		if a.To != "" {
			answer.Text = said + ": " + answer.Text
		}
		return s.answer(c, &answer)
	case err != nil: // nobody is there to be told
		s.cfg.Logger.Warn("asked to hand over", append(args, "reason", interrupted, "error", err)...)
		return nil
	}
	s.cfg.Logger.Info("asked to hand over, and all is handed over; the hub takes no more pushes", args...)
	return c.String(http.StatusOK, said+"\n")
}

// sayAccount says what became of what there was, in a line.
func sayAccount(a relay.Account) string {
	said := fmt.Sprintf("%d samples taken by the hub %q, %d gateways ended there, %d samples left here", a.Taken, a.To, a.Ended, a.Left)
	if a.Refused > 0 {
		said += fmt.Sprintf(", %d of them refused there", a.Refused)
	}
	if a.Waiting != "" {
		said += "; waiting: " + a.Waiting
	}
	return said
}

func accountArgs(a relay.Account) []any {
	args := []any{"to", a.To, "taken", a.Taken, "ended", a.Ended, "refused", a.Refused, "left", a.Left}
	if a.Waiting != "" {
		args = append(args, "waiting", a.Waiting)
	}
	return args
}
