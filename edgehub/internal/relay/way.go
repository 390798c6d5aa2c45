package relay

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
)

const (
	endedPath   = "/gateways/ended"
	askTime     = 10 * time.Second // for who is there
	postTime    = time.Minute      // for a request, from connecting to the answer
	minBackoff  = 250 * time.Millisecond
	maxBackoff  = 5 * time.Second
	withoutName = "a hub" // in the header of one that has no name
)

// way is how the other hub is reached.
type way struct {
	client   *http.Client
	base     string // without a slash at its end
	user     *url.Userinfo
	name     string
	noPacked bool // it reads no gzip
}

func newWay(client *http.Client, to *url.URL, name string) way {
	own := *client
	// Whoever is elsewhere is not the hub that was meant.
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if name == "" {
		name = withoutName
	}
	base := url.URL{Scheme: to.Scheme, Host: to.Host, Path: strings.TrimSuffix(to.Path, "/")}
	return way{client: &own, base: base.String(), user: to.User, name: name}
}

// who asks for the name of the hub at the other end.
func (w *way) who(ctx context.Context) (name string, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	req, err := w.request(ctx, http.MethodGet, "/-/ready", nil)
	if err != nil {
		return "", err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return "", &Error{NoHub, "the other hub does not answer: " + verdict.NoAnswer(err)}
	}
	defer resp.Body.Close()
	a := verdict.Read(resp)
	id, ok := a.Hub()
	if !ok {
		return "", &Error{NoHub, a.Strange()}
	}
	return id.Name, nil
}

// post sends a body until it is answered for good: it is taken, or refused for what is in it, or the other hub is going away. Meanwhile waiting is told why the other hub is
// waited for, and that it is not. Its error is an *Error where that hub takes nothing, or the cause of ctx.
func (w *way) post(ctx context.Context, path, contentType string, body []byte, zip *zipper, waiting func(why string)) (verdict.Result, error) {
	defer waiting("")
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		res := w.try(ctx, path, contentType, body, zip)
		switch {
		case res.Outcome == verdict.ResendPlain && !w.noPacked:
			w.noPacked = true
			continue
		case res.Outcome == verdict.Cut:
			return res, context.Cause(ctx)
		case res.Outcome != verdict.TryNext:
			return res, nil
		case res.Status == http.StatusUnsupportedMediaType && contentType == exposition.ProtobufContentType:
			res.Outcome = verdict.Refused // an older hub, which takes the others
			return res, nil
		case res.Reason == Stopping:
			return res, &Error{Stopping, "the other hub stops itself: " + res.Detail}
		case !transient(res):
			return res, &Error{NotTaken, "the other hub takes nothing: " + res.Detail}
		}
		waiting(res.Detail)
		if err := sleep(ctx, max(backoff, res.Wait)); err != nil {
			return res, err
		}
	}
}

// transient says whether another answer may be hoped for: the hub is full or starts, or nobody answers for it just now.
func transient(res verdict.Result) bool {
	switch res.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return res.Status >= 500
}

// try sends a body once.
func (w *way) try(ctx context.Context, path, contentType string, body []byte, zip *zipper) verdict.Result {
	bounded, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	if !w.noPacked {
		body = zip.compress(body)
	}
	body = bytes.Clone(body) // which may be read on when an early answer is there
	req, err := w.request(bounded, http.MethodPost, path, body)
	if err != nil {
		return verdict.Result{Outcome: verdict.TryNext, Status: http.StatusBadRequest, Detail: err.Error()}
	}
	req.Header.Set("Content-Type", contentType)
	if !w.noPacked {
		req.Header.Set("Content-Encoding", "gzip")
	}
	resp, err := w.client.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return verdict.Result{Outcome: verdict.Cut}
	case err != nil:
		return verdict.Result{Outcome: verdict.TryNext, Detail: "no answer: " + verdict.NoAnswer(err)}
	}
	defer resp.Body.Close()
	return verdict.Judge(verdict.Read(resp), !w.noPacked, time.Now())
}

func (w *way) request(ctx context.Context, method, path string, body []byte) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("ask the other hub: %w", err)
	}
	req.Header.Set(exposition.HandoverHeader, w.name)
	req.Header.Set("User-Agent", "edgehub")
	if w.user != nil {
		password, _ := w.user.Password()
		req.SetBasicAuth(w.user.Username(), password)
	}
	return req, nil
}

// sleep waits, or returns the cause of the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
