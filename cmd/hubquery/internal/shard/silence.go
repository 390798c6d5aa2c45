package shard

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// downTime is how long a server is waited for that did not answer when it was last asked how it is.
const downTime = 2 * time.Second

var errSilent = errors.New("it takes requests and does not answer")

type untilKey struct{}

// WithPatience bounds how long servers are waited for, in all requests of ctx: those that have not begun to answer by
// then count as silent.
func WithPatience(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, untilKey{}, until)
}

// patience ends requests to a server that takes them and is silent: a process that is stopped, a machine that is gone.
type patience struct {
	next   http.RoundTripper
	server *Server
	most   time.Duration
}

// RoundTrip implements http.RoundTripper.
func (p *patience) RoundTrip(req *http.Request) (*http.Response, error) {
	most := p.most
	if p.server.down.Load() {
		most = min(most, downTime)
	}
	if until, ok := req.Context().Value(untilKey{}).(time.Time); ok {
		most = min(most, time.Until(until))
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timer := time.AfterFunc(most, func() { cancel(errSilent) })
	resp, err := p.next.RoundTrip(req.WithContext(ctx))
	timer.Stop()
	if err != nil {
		if errors.Is(context.Cause(ctx), errSilent) {
			err = errSilent
		}
		cancel(nil)
		return nil, err
	}
	resp.Body = &ending{ReadCloser: resp.Body, end: sync.OnceFunc(func() { cancel(nil) })}
	return resp, nil
}

// ending frees what a request held when its body is closed.
type ending struct {
	io.ReadCloser
	end func()
}

func (e *ending) Close() error {
	defer e.end()
	return e.ReadCloser.Close()
}

// patient returns a client that waits for a server no longer than so.
func patient(client *http.Client, server *Server, most time.Duration) *http.Client {
	c := *client
	c.Transport = &patience{next: client.Transport, server: server, most: most}
	return &c
}
