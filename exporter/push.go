package exporter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
)

var errPushTimeout = errors.New("no answer within PushTimeout")

// coding is what is known of the encodings that a hub reads. Its senders share it.
type coding struct {
	gzip  atomic.Bool // the hub's last answer said that it takes it
	plain atomic.Bool // it said so, and then did not; until it was down
}

// pusher talks to one hub. Only its sender uses it.
type pusher struct {
	hub     string
	pushURL string
	probeAt string
	endedAt string
	client  *http.Client
	timeout time.Duration
	metrics *metrics
	coding  *coding
	others  bool // also receivers that are no hubs
}

func newPusher(hub Hub, transport http.RoundTripper, timeout time.Duration, from Receivers, c *coding, m *metrics) *pusher {
	return &pusher{
		hub:     hub.Name,
		pushURL: hub.URL + "/metrics",
		probeAt: hub.URL + "/-/ready",
		endedAt: hub.URL + "/gateways/ended",
		client: &http.Client{
			Transport: transport,
			// A redirect is an answer like another: whoever is at the other
			// end is not the hub that the ring means.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: timeout,
		metrics: m,
		coding:  c,
		others:  from == HubsAndOthers,
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

// push sends the parcels as one request and decides what becomes of them.
func (p *pusher) push(ctx context.Context, batch []*wire.Body) result {
	begin := time.Now()
	res := p.post(ctx, batch)
	p.metrics.pushSeconds.WithLabelValues(p.hub).Observe(time.Since(begin).Seconds())
	p.metrics.pushes.WithLabelValues(p.hub, res.outcome.String()).Inc()
	return res
}

func (p *pusher) post(ctx context.Context, batch []*wire.Body) result {
	d := drafts.Get().(*draft)
	d.body = d.joiner.Join(d.body[:0], batch)
	payload, compressed := d.body, p.coding.gzip.Load() && !p.coding.plain.Load()
	if compressed {
		payload = d.compress()
	}

	body := &requestBody{payload: payload}
	req, err := http.NewRequest(http.MethodPost, p.pushURL, nil)
	if err != nil {
		return result{outcome: tryNext, detail: err.Error()}
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
	if res.outcome == delivered && !body.whole() { // or the hub would not have seen all
		res.outcome, res.doubt = tryNext, true
		res.detail = fmt.Sprintf("answered with status %d before all of the request was sent", res.status)
	}
	if res.outcome != delivered && body.opened.Load() > 1 {
		res.doubt = true // net/http has sent it again: the answer is to that, and the first may have arrived
	}
	if header != nil {
		p.coding.gzip.Store(exposition.AcceptsGzip(header))
	}
	if res.outcome == resendPlain {
		p.coding.plain.Store(true)
	}
	if res.outcome == tryNext { // another program may answer next time
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

// probe asks whether the hub is ready, and then whether it takes a push, of nothing: one that
// says that it is ready may hang or refuse whatever is sent to it.
func (p *pusher) probe(ctx context.Context) result {
	res := p.ask(ctx, http.MethodGet, p.probeAt, min(p.timeout, maxProbeTime))
	if res.outcome != delivered {
		return res
	}
	res = p.ask(ctx, http.MethodPost, p.pushURL, p.timeout) // a slow hub takes pushes, too
	if res.outcome != delivered && res.outcome != cut {
		res.detail = "an empty push: " + res.detail
	}
	return res
}

// ask sends a request without a body.
func (p *pusher) ask(ctx context.Context, method, url string, timeout time.Duration) result {
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		return result{outcome: tryNext, detail: err.Error()}
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", exposition.ContentType)
		req.Header["Idempotency-Key"] = nil // as in post
	}
	res, header := p.do(ctx, req, timeout, false)
	if res.known {
		p.coding.gzip.Store(exposition.AcceptsGzip(header))
	}
	return res
}

// tell tells the hub which gateways left it.
func (p *pusher) tell(ctx context.Context, lines []byte) result {
	req, err := http.NewRequest(http.MethodPost, p.endedAt, bytes.NewReader(lines))
	if err != nil {
		return result{outcome: tryNext, detail: err.Error()}
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header["Idempotency-Key"] = nil // as in post
	res, _ := p.do(ctx, req, p.timeout, false)
	return res
}

// do sends a request within the timeout. The header is nil if there was no
// answer.
func (p *pusher) do(ctx context.Context, req *http.Request, timeout time.Duration, compressed bool) (result, http.Header) {
	bounded, cancel := context.WithTimeoutCause(ctx, timeout, errPushTimeout)
	defer cancel()
	resp, err := p.client.Do(req.WithContext(bounded))
	if err != nil {
		if ctx.Err() != nil {
			return result{outcome: cut}, nil
		}
		return result{outcome: tryNext, detail: reasonOf(bounded, err), doubt: !neverSent(err)}, nil
	}
	defer resp.Body.Close()
	a := answerOf(resp)
	if _, ok := a.hub(); p.others && !ok {
		if res, ok := judgeOther(a, req.Method == http.MethodGet, compressed); ok {
			return res, resp.Header
		}
	}
	return judge(a, compressed, time.Now()), resp.Header
}

// neverSent reports whether there was no connection.
func neverSent(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// reasonOf is the error without the URL, which the hub's name stands for.
func reasonOf(ctx context.Context, err error) string {
	if cause := context.Cause(ctx); errors.Is(cause, errPushTimeout) {
		return cause.Error()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	text := err.Error() // it may have in it what the hub said, at length
	return strings.ToValidUTF8(text[:min(len(text), detailBytes)], "?")
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
