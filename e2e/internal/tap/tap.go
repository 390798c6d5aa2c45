// Package tap listens in on what an exporter sends: every push, to whom, when,
// and what the hub said. It costs the exporter a copy of the body; what is in
// it is found out when somebody asks.
package tap

import (
	"cmp"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Tap carries requests as an exporter's Transport and notes the pushes among
// them. It is safe for concurrent use.
type Tap struct {
	// Base carries the requests.
	Base http.RoundTripper
	// OnPush is called for each push that is over, before its sender learns how it ended, in place of keeping it.
	OnPush func(*Push)

	mu     sync.Mutex
	pushes []*Push
}

// Push is one request with samples that is over.
type Push struct {
	Hub    string    // host and port
	Began  time.Time // when the exporter sent it
	Ended  time.Time // when its answer or its error was there
	Status int       // 0 if there was no answer

	body   []byte
	zipped bool
	once   sync.Once
	lines  []Line
	err    error
}

// Acknowledged says whether the hub took all of it.
func (p *Push) Acknowledged() bool { return p.Status == http.StatusOK }

// RoundTrip implements http.RoundTripper.
func (t *Tap) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || req.GetBody == nil || strings.HasSuffix(req.URL.Path, "/gateways/ended") { // a probe pushes nothing
		return t.Base.RoundTrip(req)
	}
	p := &Push{Hub: req.URL.Host, zipped: req.Header.Get("Content-Encoding") == "gzip"}
	p.body, p.err = copyBody(req)
	p.Began = time.Now()
	resp, err := t.Base.RoundTrip(req)
	p.Ended = time.Now()
	if err == nil {
		p.Status = resp.StatusCode
	}
	if t.OnPush != nil {
		t.OnPush(p)
		return resp, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pushes = append(t.pushes, p)
	return resp, err
}

// copyBody reads the body without using it up.
func copyBody(req *http.Request) ([]byte, error) {
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer body.Close()
	return io.ReadAll(body)
}

// Pushes returns those that are over, in the order in which they began.
func (t *Tap) Pushes() []*Push {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := slices.Clone(t.pushes)
	slices.SortStableFunc(all, func(a, b *Push) int { return cmp.Compare(a.Began.UnixNano(), b.Began.UnixNano()) })
	return all
}
