package front

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/cmd/exporter/internal/config"
	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/door"
	"github.com/hubring/hubring/internal/grouping"
)

// pushGroup hands what is pushed as to a Pushgateway to the hub that is the group's home, and its answer back. A group is
// no sample that could wait or go elsewhere: on two hubs it would be there twice for as long as it stays. So while its home is down the sender is told.
func (f *Front) pushGroup(c echo.Context) error {
	h := house{f, f.now.Load(), doorGroups}
	home, err := f.homeOf(c.Request())
	if err == nil {
		err = h.handOn(c, home)
	}
	switch {
	case err == nil:
		f.taken(h.door, 0)
		return nil
	case c.Response().Committed: // the hub has said it
		h.Refused(h.Refusal(err).Reason, 0)
		return nil
	}
	return h.answer(c, 0, err)
}

// homeOf finds the hub of a request's group: that of the key's label, where the group has it, and else of all its labels.
func (f *Front) homeOf(r *http.Request) (home exporter.Hub, err error) {
	raw, is := strings.CutPrefix(r.URL.EscapedPath(), "/metrics/")
	if !is {
		return home, &door.RefusedError{Status: http.StatusBadRequest, Reason: "malformed", Text: "the path does not begin with /metrics/job/ but with two slashes; is there one at the end of the address?"}
	}
	labels, err := grouping.Parse(raw)
	if err != nil {
		return home, err
	}
	err = f.running.use(func(e *exporter.Exporter, cfg *config.Config) error {
		key := labels.Get(cfg.KeyLabel)
		if key == "" {
			key = labels.Key()
		}
		var ok bool
		if home, ok = e.Home(key); !ok {
			return &door.RefusedError{Status: http.StatusServiceUnavailable, Reason: "no_hub", Text: "no hub is known yet"}
		}
		return nil
	})
	return home, err
}

// handOn has a hub answer a request. Its body is read before, within the limits of pushes, and goes on as it is without compression.
func (h house) handOn(c echo.Context, hub exporter.Hub) error {
	any := func(http.Header) error { return nil }
	return h.Receive(c, body.Limits{Lenient: true}, any, func(message []byte, broken error) error {
		if broken != nil {
			return broken
		}
		r := c.Request()
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(message)), int64(len(message)), nil
		r.Header.Del(echo.HeaderContentEncoding)
		return h.proxy(c, hub)
	})
}

// proxy hands a request on, and the hub's answer back.
func (h house) proxy(c echo.Context, hub exporter.Hub) error {
	base, err := url.Parse(hub.URL)
	if err != nil {
		return err
	}
	var failed error
	proxy := httputil.ReverseProxy{
		Transport: h.gate.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(base)                    // it keeps how the path was escaped
			r.Out.Header.Del("Authorization") // which was the exporter's
		},
		ModifyResponse: func(r *http.Response) error {
			if r.StatusCode/100 == 3 { // some senders take it for success, and what they pushed is gone
				return fmt.Errorf("it answered %s", r.Status)
			}
			if r.StatusCode/100 != 2 {
				failed = &door.RefusedError{Status: r.StatusCode, Reason: "hub", Text: ""}
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = unreached(hub, err) },
		ErrorLog:     discard,
	}
	ctx, cancel := context.WithTimeout(c.Request().Context(), answerTimeout)
	defer cancel()
	proxy.ServeHTTP(c.Response(), c.Request().WithContext(ctx))
	return failed
}

// unreached is the answer where the hub gave none.
func unreached(hub exporter.Hub, err error) error {
	if errors.Is(err, context.Canceled) {
		return &door.RefusedError{Status: http.StatusBadRequest, Reason: "unreadable", Text: "the sender has gone"}
	}
	return &door.RefusedError{Status: http.StatusServiceUnavailable, Reason: "no_hub", Text: fmt.Sprintf("the group's hub %s does not answer; push again", hub.Name)}
}
