package edgehub

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/prometheus/client_golang/prometheus"
)

// A body is read in full before its push takes a place among those that are
// taken in, so a slow sender keeps no place. What it can keep is memory: all
// bodies together have a bound, and a body gets more of it as its bytes arrive.
// While there is plenty a body gets room at once for what its sender announces,
// since each read into a small buffer is a system call more; but announcements
// never take more than half of it, however many there are.

const (
	// maxPause bounds the time between two reads of a body.
	maxPause = 10 * time.Second
	// lingering is how long a refused sender may go on with a body that is
	// not wanted. A connection closed in the middle of it would be reset, and
	// the answer lost.
	lingering = time.Second
	// maxAnnounced bounds the room that a body gets before its bytes arrive.
	maxAnnounced = 1 << 20
	// The smallest block and the number of sizes, each twice the one before,
	// that are kept for the next body.
	minBlock, blockSizes = 16 << 10, 10
)

var (
	errTooLarge = errors.New("the body is larger than its limit")
	errNoRoom   = errors.New("the bodies that are being read leave no room")
)

// room is the memory that all bodies may take together, in bytes.
type room struct {
	limit int64
	used  atomic.Int64
}

// take takes n bytes if no more than within are used then.
func (r *room) take(n, within int64) bool {
	for {
		used := r.used.Load()
		if used+n > within {
			return false
		}
		if r.used.CompareAndSwap(used, used+n) {
			return true
		}
	}
}

func (r *room) collectors() []prometheus.Collector {
	return []prometheus.Collector{
		gauge("bodies_bytes", "Memory for the bodies of pushes that are being read or taken in.", func() float64 { return float64(r.used.Load()) }),
		gauge("limit_bodies_bytes", "The most memory for the bodies of pushes.", func() float64 { return float64(r.limit) }),
	}
}

// block is memory that bodies use one after the other.
type block struct{ bytes []byte }

var blocks [blockSizes]sync.Pool

// sizeClass is the index of the smallest kept size that has n bytes, which is
// blockSizes or more if none has.
func sizeClass(n int64) int { return bits.Len64(uint64(max(n, 1)-1) / minBlock) }

// blockSize is the size of the block that newBlock returns for n bytes.
func blockSize(n int64) int64 {
	if class := sizeClass(n); class < blockSizes {
		return minBlock << class
	}
	return n
}

func newBlock(n int64) *block {
	if class := sizeClass(n); class < blockSizes {
		if b, ok := blocks[class].Get().(*block); ok {
			return b
		}
	}
	return &block{make([]byte, 0, blockSize(n))}
}

// free keeps a block for the next body that needs one of its size.
func (b *block) free() {
	size := int64(cap(b.bytes))
	if class := sizeClass(size); class < blockSizes && blockSize(size) == size {
		b.bytes = b.bytes[:0]
		blocks[class].Put(b)
	}
}

// body is what was read of a push. Its memory counts in room, so whoever has one
// releases it.
type body struct {
	room  *room
	limit int64 // of its own bytes
	held  int64 // of the room
	block *block
}

func (h *Hub) newBody() *body { return &body{room: &h.bodies, limit: h.cfg.MaxBodyBytes} }

// bytes is what was read so far; valid until the release.
func (b *body) bytes() []byte {
	if b.block == nil {
		return nil
	}
	return b.block.bytes
}

func (b *body) release() {
	if b.block != nil {
		b.block.free()
		b.block = nil
	}
	b.room.used.Add(-b.held)
	b.held = 0
}

// resize moves a body to a block for n bytes, if no more than within are used by
// all bodies then. No body counts for more than its limit, so that one of the
// largest finds room wherever there is room for its bytes.
func (b *body) resize(n, within int64) bool {
	cost := min(blockSize(n), b.limit)
	if !b.room.take(cost-b.held, within) {
		return false
	}
	b.held = cost
	old := b.block
	b.block = newBlock(n)
	if old != nil {
		b.block.bytes = append(b.block.bytes, old.bytes...)
		old.free()
	}
	return true
}

// start makes room for the first bytes of a body that is said to have so many;
// zero or less says nothing.
func (b *body) start(announced int64) error {
	if n := min(announced, maxAnnounced-1) + 1; n > minBlock && b.resize(n, b.room.limit/2) {
		return nil
	}
	if !b.resize(minBlock, b.room.limit) {
		return errNoRoom
	}
	return nil
}

// grow makes a body's block larger, twice at most: whoever holds memory has sent
// half of it.
func (b *body) grow(announced int64) error {
	now := int64(cap(b.block.bytes))
	next := min(2*now, b.limit+1) // the byte more shows a body that is too large
	if announced >= now {
		next = min(next, announced+1)
	}
	if next <= now {
		return errTooLarge
	}
	if !b.resize(next, b.room.limit) {
		return errNoRoom
	}
	return nil
}

// fill reads a body to its end. The end of one that has the length that was
// announced is seen without another read.
func (b *body) fill(in io.Reader, announced int64) error {
	if err := b.start(announced); err != nil {
		return err
	}
	for {
		have := b.block.bytes
		if len(have) == cap(have) {
			if err := b.grow(announced); err != nil {
				return err
			}
			have = b.block.bytes
		}
		n, err := in.Read(have[len(have):cap(have)])
		b.block.bytes = have[:len(have)+n]
		switch {
		case int64(len(b.block.bytes)) > b.limit:
			return errTooLarge
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// paced is the body of a request whose sender may neither pause nor take too
// long.
type paced struct {
	body  io.Reader
	w     http.ResponseWriter
	until time.Time // when the whole body must be there
}

func (p *paced) Read(b []byte) (int, error) {
	deadline := time.Now().Add(maxPause)
	if deadline.After(p.until) {
		deadline = p.until
	}
	if err := setReadDeadline(p.w, deadline); err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// setReadDeadline bounds the reading of a request, where the server can.
func setReadDeadline(w http.ResponseWriter, t time.Time) error {
	err := http.NewResponseController(w).SetReadDeadline(t)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// receive reads the body of a request within the hub's bounds and decompresses
// it. The caller releases what it returns, which besides an error is the text
// that was read before.
func (h *Hub) receive(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := h.newBody()
	encoding := r.Header.Get("Content-Encoding")
	if encoding != "" && encoding != "identity" && encoding != "gzip" {
		return b, &refusal{
			status: http.StatusUnsupportedMediaType, reason: "encoding", unread: true,
			text: fmt.Sprintf("content encoding %.40q is not supported; send gzip or none", encoding),
		}
	}
	err := errTooLarge
	if r.ContentLength <= b.limit {
		err = b.fill(&paced{r.Body, w, time.Now().Add(h.cfg.BodyTimeout)}, r.ContentLength)
	}
	if err != nil {
		refused := h.unreadable(err)
		refused.unread = true
		if encoding == "gzip" {
			b.release() // what was read is no text
		}
		return b, refused
	}
	if encoding == "gzip" {
		defer b.release()
		return h.inflate(b.bytes())
	}
	return b, nil
}

// gunzip is a decompressor that is kept for the next body.
type gunzip struct {
	in  bytes.Reader
	out gzip.Reader
}

var gunzips = sync.Pool{New: func() any { return new(gunzip) }}

// inflate decompresses a body into another one, which the caller releases.
func (h *Hub) inflate(zipped []byte) (*body, error) {
	b := h.newBody()
	z := gunzips.Get().(*gunzip)
	defer func() {
		z.in.Reset(nil)
		gunzips.Put(z)
	}()
	z.in.Reset(zipped)
	if err := z.out.Reset(&z.in); err != nil {
		return b, &refusal{status: http.StatusBadRequest, reason: "encoding", text: fmt.Sprintf("decompress the body: %v", err)}
	}
	// A gzip file ends with its length. It may lie, as any announcement may.
	length := int64(binary.LittleEndian.Uint32(zipped[len(zipped)-4:]))
	if err := b.fill(&z.out, length); err != nil {
		return b, h.unreadable(err)
	}
	return b, nil
}

// unreadable says what an error of fill means to the sender.
func (h *Hub) unreadable(err error) *refusal {
	switch {
	case errors.Is(err, errTooLarge):
		return &refusal{
			status: http.StatusRequestEntityTooLarge, reason: "body_too_large",
			text: fmt.Sprintf("the body is larger than %d bytes; send it in parts", h.cfg.MaxBodyBytes),
		}
	case errors.Is(err, errNoRoom):
		return errBodiesFull(h.cfg.MaxBodiesBytes)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &refusal{
			status: http.StatusRequestTimeout, reason: "too_slow",
			text: fmt.Sprintf("the body paused for more than %v or took more than %v", maxPause, h.cfg.BodyTimeout),
		}
	}
	return &refusal{status: http.StatusBadRequest, reason: "unreadable", text: fmt.Sprintf("read the body: %v", err)}
}

func errBodiesFull(limit int64) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, reason: "bodies_bytes",
		text: fmt.Sprintf("pushes that are being read leave no room for this one; the limit for all is %d bytes", limit),
	}
}

// samplesIn counts the lines of a text that are neither blank nor comments.
func samplesIn(text []byte) int {
	n := 0
	for line := range bytes.Lines(text) {
		if line = bytes.TrimLeft(line, " \t\r\n"); len(line) > 0 && line[0] != '#' {
			n++
		}
	}
	return n
}
