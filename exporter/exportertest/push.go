package exportertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
)

// inbox is the scratch space of one push.
type inbox struct {
	wire    bytes.Buffer // as it was sent
	text    bytes.Buffer // after decompression
	zip     *gzip.Reader // nil until a push is compressed
	checker checker
}

// maxKeptBytes bounds the bodies whose memory is used again.
const maxKeptBytes = 1 << 20

var inboxes = sync.Pool{New: func() any { return &inbox{checker: newChecker()} }}

func (in *inbox) release() {
	if in.wire.Cap()+in.text.Cap() > maxKeptBytes {
		return
	}
	in.wire.Reset()
	in.text.Reset()
	in.checker.forget()
	inboxes.Put(in)
}

// push serves POST /metrics.
func (h *Hub) push(w http.ResponseWriter, r *http.Request) {
	in := inboxes.Get().(*inbox)
	defer in.release()
	reply, push := h.begin(r)
	text, err := h.receive(r, in, &reply, &push)
	if err == nil {
		err = h.treat(r.Context(), in, text, &reply, &push)
	}
	h.settle(push, err)
	if err != nil {
		abort(w, r)
	}
	h.write(w, reply)
}

// begin numbers and remembers a push, and says how it is treated.
func (h *Hub) begin(r *http.Request) (Reply, Push) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.noteLocked(r)
	reply := h.always
	if r.ContentLength != 0 {
		reply = h.nextLocked()
	}
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	push := Push{Number: h.pushes.next(), At: time.Now(), Encoding: r.Header.Get("Content-Encoding")}
	h.pushes.add(push)
	return reply, push
}

// receive reads the body and checks it. What is wrong with a push that would be
// taken in becomes the reply; an error means that the connection is to be cut.
func (h *Hub) receive(r *http.Request, in *inbox, reply *Reply, push *Push) (text []byte, err error) {
	if reply.CutAfter != 0 {
		n, _ := io.CopyN(io.Discard, r.Body, int64(max(reply.CutAfter, 0)))
		push.Bytes = int(n)
		h.wait(r.Context(), *reply)
		return nil, errCut
	}
	text, err = h.read(r, in)
	push.Bytes = in.wire.Len()
	if err == nil {
		in.checker.keeps = h.opts.samples != 0
		push.Samples, err = in.checker.check(text)
		if at := h.poisonIn(text); err == nil && at >= 0 {
			line := 1 + bytes.Count(text[:at], []byte{'\n'})
			err = &refusal{http.StatusBadRequest, fmt.Sprintf("line %d: it has what this hub was told to refuse", line)}
		}
	}
	wrong, ok := errors.AsType[*refusal](err)
	if !ok {
		return text, err
	}
	if push.Reason = wrong.text; reply.takes() {
		reply.Status, reply.Body, reply.Kept = wrong.status, wrong.text+"\n", false
	}
	return nil, nil
}

func (h *Hub) poisonIn(text []byte) int {
	h.mu.Lock()
	poison := h.poison
	h.mu.Unlock()
	if poison == "" {
		return -1
	}
	return bytes.Index(text, []byte(poison))
}

// read reads the body to its end. Errors that are no refusal mean that the client
// is gone.
func (h *Hub) read(r *http.Request, in *inbox) (text []byte, err error) {
	limit := h.opts.bodyBytes
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes", limit)}
	if _, err := in.wire.ReadFrom(io.LimitReader(r.Body, limit+1)); err != nil {
		return nil, fmt.Errorf("read a push: %w", err)
	}
	if int64(in.wire.Len()) > limit {
		return nil, tooLarge
	}
	if err := checkContentType(r.Header.Get("Content-Type")); err != nil {
		return nil, err
	}
	switch coding := r.Header.Get("Content-Encoding"); strings.ToLower(coding) {
	case "", "identity":
		return in.wire.Bytes(), nil
	case "gzip":
		return in.unzip(limit, tooLarge)
	default:
		return nil, &refusal{http.StatusUnsupportedMediaType, fmt.Sprintf("content encoding %.40q is not supported; send gzip or none", coding)}
	}
}

func (in *inbox) unzip(limit int64, tooLarge error) ([]byte, error) {
	wire := bytes.NewReader(in.wire.Bytes())
	if in.zip == nil {
		in.zip = new(gzip.Reader)
	}
	err := in.zip.Reset(wire)
	if err == nil {
		_, err = in.text.ReadFrom(io.LimitReader(in.zip, limit+1))
	}
	switch {
	case err != nil:
		return nil, &refusal{http.StatusBadRequest, fmt.Sprintf("decompress the body: %v", err)}
	case int64(in.text.Len()) > limit:
		return nil, tooLarge
	}
	return in.text.Bytes(), nil
}

// checkContentType refuses other formats. As edgehub, it takes anything that does not
// say that it is one.
func checkContentType(header string) error {
	media, _, _ := strings.Cut(header, ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case "application/openmetrics-text", "application/vnd.google.protobuf", "application/x-protobuf":
		return &refusal{http.StatusUnsupportedMediaType, fmt.Sprintf("content type %s is not supported; send text/plain; version=0.0.4", media)}
	}
	return nil
}

// treat does with a push that was read as the reply says. An error means that the
// connection is to be cut.
func (h *Hub) treat(ctx context.Context, in *inbox, text []byte, reply *Reply, push *Push) error {
	if reply.Kept {
		if err := h.take(ctx, in, text, push); err != nil {
			return err
		}
	}
	if !h.wait(ctx, *reply) {
		return errCut
	}
	if !reply.Lost {
		push.Status = reply.Status
	}
	if reply.takes() && !reply.Kept {
		if err := h.take(ctx, in, text, push); err != nil {
			return err
		}
	}
	if reply.Lost {
		return errCut
	}
	return nil
}

// take takes a push in, one at a time, and calls the hook. It fails when the hub was
// killed meanwhile.
func (h *Hub) take(ctx context.Context, in *inbox, text []byte, push *Push) error {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	hook, err := h.keep(ctx, in.checker.samples, push)
	if err == nil && hook != nil {
		hook(*push, text)
	}
	return err
}

// keep records the samples of a push.
func (h *Hub) keep(ctx context.Context, samples []Sample, push *Push) (hook func(Push, []byte), err error) {
	if err := h.lockThawed(ctx); err != nil {
		return nil, err
	}
	defer h.mu.Unlock()
	if conn := connOf(ctx); conn != nil && conn.isCut() {
		return nil, errCut
	}
	push.Taken = true
	h.pushes.set(push.Number, *push)
	for _, s := range samples {
		s.Push = push.Number
		h.samples.add(s)
	}
	h.arrived += push.Samples
	h.announceLocked()
	return h.onPush, nil
}

// lockThawed locks the hub when it is not frozen. It does not if it fails.
func (h *Hub) lockThawed(ctx context.Context) error {
	for {
		h.mu.Lock()
		frozen := h.frozen
		if frozen == nil {
			return nil
		}
		h.mu.Unlock()
		select {
		case <-frozen:
		case <-h.closed:
			return errCut
		case <-ctx.Done():
			return errCut
		}
	}
}

// settle remembers how a push ended: with an answer, or with err and none.
func (h *Hub) settle(push Push, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if push.Done = true; err != nil {
		push.Status = 0
	}
	h.pushes.set(push.Number, push)
	h.answered++
	h.announceLocked()
}
