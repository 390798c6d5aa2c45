package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
	"github.com/hubring/hubring/internal/verdict"
)

// maxProbeTime bounds the question whether a hub is ready, which asks for a few
// bytes: a hub that is back must not wait for one whose packets were lost.
const maxProbeTime = 2 * time.Second

var errPushTimeout = errors.New("no answer within PushTimeout")

// Coding is what is known of the encodings that a hub reads. Those who push to one hub
// share it. Its zero value is ready for use.
type Coding struct {
	gzip  atomic.Bool // the hub's last answer said that it takes it
	plain atomic.Bool // it said so, and then did not; until it was down
}

// Settings say which hub is pushed to, and how. All are needed but Others.
type Settings struct {
	URL       string // the hub's base, without a slash at its end
	Transport http.RoundTripper
	Timeout   time.Duration // of a request, from connecting to the answer
	Coding    *Coding
	Others    bool // also answers of receivers that are no hubs count
}

// Pusher talks to one hub. It may be used by several goroutines.
type Pusher struct {
	pushURL string
	probeAt string
	endedAt string
	client  *http.Client
	timeout time.Duration
	coding  *Coding
	others  bool
}

// New returns a pusher. It connects to nothing.
func New(s Settings) *Pusher {
	return &Pusher{
		pushURL: s.URL + "/metrics",
		probeAt: s.URL + "/-/ready",
		endedAt: s.URL + "/gateways/ended",
		client: &http.Client{
			Transport: s.Transport,
			// A redirect is an answer like another: whoever is at the other
			// end is not the hub that the ring means.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: s.Timeout,
		coding:  s.Coding,
		others:  s.Others,
	}
}

// maxPooledBytes is the largest buffer that is kept for the next request.
const maxPooledBytes = 4 << 20

// draft is the memory in which a request is made. There are as many as requests
// are under way: a sender that has nothing to do keeps none.
type draft struct {
	joiner wire.Joiner
	body   []byte
	zipped bytes.Buffer
	zip    *gzip.Writer
}

var drafts = sync.Pool{New: func() any {
	zip, err := gzip.NewWriterLevel(io.Discard, gzip.BestSpeed)
	if err != nil {
		panic("BUG: gzip level: " + err.Error())
	}
	return &draft{zip: zip}
}}

// Push sends the bodies as one request and decides what becomes of them. Nothing of them
// is read any more when it has returned.
func (p *Pusher) Push(ctx context.Context, batch []*wire.Body) verdict.Result {
	d := drafts.Get().(*draft)
	d.body = d.joiner.Join(d.body[:0], batch)
	payload, compressed := d.body, p.coding.gzip.Load() && !p.coding.plain.Load()
	if compressed {
		payload = d.compress()
	}

	body := &requestBody{payload: payload}
	req, err := http.NewRequest(http.MethodPost, p.pushURL, nil)
	if err != nil {
		return verdict.Result{Outcome: verdict.TryNext, Detail: err.Error()}
	}
	req.Body, req.GetBody, req.ContentLength = body.open(), body.get, int64(len(payload))
	req.Header.Set("Content-Type", exposition.ContentType)
	if compressed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	// Pushing twice is harmless, since receivers can tell the samples by their
	// timestamps. Nil lets net/http try again, unseen by the hub, when an idle
	// connection turns out to be closed.
	req.Header["Idempotency-Key"] = nil

	res, header := p.do(ctx, req, p.timeout, compressed)
	if res.Outcome == verdict.Delivered && !body.whole() { // or the hub would not have seen all
		res.Outcome, res.Doubt = verdict.TryNext, true
		res.Detail = fmt.Sprintf("answered with status %d before all of the request was sent", res.Status)
	}
	if res.Outcome != verdict.Delivered && body.opened.Load() > 1 {
		res.Doubt = true // net/http has sent it again: the answer is to that, and the first may have arrived
	}
	if header != nil {
		p.coding.gzip.Store(exposition.AcceptsGzip(header))
	}
	if res.Outcome == verdict.ResendPlain {
		p.coding.plain.Store(true)
	}
	if res.Outcome == verdict.TryNext { // another program may answer next time
		p.coding.gzip.Store(false)
		p.coding.plain.Store(false)
	}
	if !body.inUse() { // or the transport reads it still: leave it the memory
		d.release()
	}
	return res
}

// compress returns the gzip of d.body, in memory of the draft.
func (d *draft) compress() []byte {
	d.zipped.Reset()
	d.zip.Reset(&d.zipped)
	_, err := d.zip.Write(d.body)
	if err = errors.Join(err, d.zip.Close()); err != nil {
		panic("BUG: writing to a bytes.Buffer: " + err.Error())
	}
	return d.zipped.Bytes()
}

// release gives the memory to the next request.
func (d *draft) release() {
	if cap(d.body) <= maxPooledBytes && d.zipped.Cap() <= maxPooledBytes {
		drafts.Put(d)
	}
}

// Probe asks whether the hub is ready, and then whether it takes a push, of nothing: one that
// says that it is ready may hang or refuse whatever is sent to it.
func (p *Pusher) Probe(ctx context.Context) verdict.Result {
	res := p.ask(ctx, http.MethodGet, p.probeAt, min(p.timeout, maxProbeTime))
	if res.Outcome != verdict.Delivered {
		return res
	}
	res = p.ask(ctx, http.MethodPost, p.pushURL, p.timeout) // a slow hub takes pushes, too
	if res.Outcome != verdict.Delivered && res.Outcome != verdict.Cut {
		res.Detail = "an empty push: " + res.Detail
	}
	return res
}

// ask sends a request without a body.
func (p *Pusher) ask(ctx context.Context, method, url string, timeout time.Duration) verdict.Result {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return verdict.Result{Outcome: verdict.TryNext, Detail: err.Error()}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", exposition.ContentType)
		req.Header["Idempotency-Key"] = nil // as in Push
	}
	res, header := p.do(ctx, req, timeout, false)
	if res.Known {
		p.coding.gzip.Store(exposition.AcceptsGzip(header))
	}
	return res
}

// Tell tells the hub which gateways left it, and when: lines as POST /gateways/ended takes
// them. They may be read still when it has returned.
func (p *Pusher) Tell(ctx context.Context, lines []byte) verdict.Result {
	req, err := http.NewRequest(http.MethodPost, p.endedAt, bytes.NewReader(lines))
	if err != nil {
		return verdict.Result{Outcome: verdict.TryNext, Detail: err.Error()}
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header["Idempotency-Key"] = nil // as in Push
	res, _ := p.do(ctx, req, p.timeout, false)
	return res
}

// do sends a request within the timeout. The header is nil if there was no
// answer.
func (p *Pusher) do(ctx context.Context, req *http.Request, timeout time.Duration, compressed bool) (verdict.Result, http.Header) {
	req.Header["User-Agent"] = userAgent
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, errPushTimeout)
	defer cancel()
	resp, err := p.client.Do(req.WithContext(bounded))
	if err != nil {
		if ctx.Err() != nil {
			return verdict.Result{Outcome: verdict.Cut}, nil
		}
		return verdict.Result{Outcome: verdict.TryNext, Detail: reasonOf(bounded, err), Doubt: !neverSent(err)}, nil
	}
	defer resp.Body.Close()
	a := verdict.Read(resp)
	if _, ok := a.Hub(); p.others && !ok {
		if res, ok := judgeOther(a, req.Method == http.MethodGet, compressed); ok {
			return res, resp.Header
		}
	}
	return verdict.Judge(a, compressed, time.Now()), resp.Header
}

// neverSent reports whether there was no connection.
func neverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// reasonOf is why there is no answer.
func reasonOf(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); errors.Is(cause, errPushTimeout) {
		return cause.Error()
	}
	return verdict.NoAnswer(err)
}

// requestBody is a payload that can be read several times. It counts who reads
// it: a transport may go on reading when the answer is there already, until it
// closes the body.
type requestBody struct {
	payload []byte
	readers atomic.Int32
	opened  atomic.Int32 // how often
	latest  atomic.Pointer[bodyReader]
}

func (b *requestBody) open() io.ReadCloser {
	b.readers.Add(1)
	b.opened.Add(1)
	r := &bodyReader{of: b, rest: b.payload}
	b.latest.Store(r)
	return r
}

// whole reports whether who began to read it last has got all.
func (b *requestBody) whole() bool {
	r := b.latest.Load()
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.rest) == 0
}

func (b *requestBody) get() (io.ReadCloser, error) { return b.open(), nil }

func (b *requestBody) inUse() bool { return b.readers.Load() > 0 }

// bodyReader is one reading of a payload. HTTP/2 may close a body while it reads it
// in another goroutine: nothing is read of the payload after Close.
type bodyReader struct {
	of *requestBody

	mu     sync.Mutex
	rest   []byte
	closed bool
}

// Read implements io.Reader.
func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// Close may be called more than once.
func (r *bodyReader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		r.of.readers.Add(-1)
	}
	return nil
}
