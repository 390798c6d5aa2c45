package body

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
)

// MaxPause bounds the time between two reads of a body.
const MaxPause = 10 * time.Second

// EncodingError says that a body's Content-Encoding cannot be undone.
type EncodingError struct {
	Unknown bool // it is one that is not read; otherwise the body is broken
	text    string
}

func (e *EncodingError) Error() string { return e.text }

// Limits bound one body.
type Limits struct {
	Bytes int64 // after decompression as well
	Time  time.Duration
	// Lenient ignores zstd and a Content-Encoding that it does not know, as a Pushgateway does.
	Lenient bool
	// Undo undoes the compression, whatever the Content-Encoding; nil for what it says.
	Undo Undo
}

// Receive reads the body of a request and decompresses it. The caller releases what it
// returns, which besides an error is the text that was read before. Read says whether the
// body was read to its end. Errors are ErrTooLarge, ErrNoRoom, an *EncodingError, os.ErrDeadlineExceeded
// for a sender that paused or took too long, and those of the connection.
func Receive(w http.ResponseWriter, r *http.Request, room *Room, limits Limits) (b *Body, read bool, err error) {
	b = New(room, limits.Bytes)
	undo := limits.Undo
	if undo == nil {
		if undo, err = undoOf(encodingOf(r.Header), limits.Lenient); err != nil {
			return b, false, err
		}
	}
	err = ErrTooLarge
	if r.ContentLength <= b.limit {
		err = b.fill(&paced{r.Body, w, time.Now().Add(limits.Time)}, r.ContentLength)
	}
	if err != nil {
		if undo != nil {
			b.Release() // what was read is no text
		}
		return b, false, err
	}
	if undo != nil {
		defer b.Release()
		b, err = undo(room, limits.Bytes, b.Bytes())
	}
	return b, true, err
}

func encodingOf(h http.Header) string {
	return strings.ToLower(strings.TrimSpace(h.Get("Content-Encoding")))
}

// undoOf undoes what a Content-Encoding says; nil where there is nothing to undo. Snappy is in frames.
func undoOf(encoding string, lenient bool) (Undo, error) {
	switch {
	case encoding == "", encoding == "identity":
		return nil, nil
	case encoding == "gzip", encoding == "x-gzip":
		return inflate, nil
	case encoding == "snappy":
		return unsnap, nil
	case lenient:
		return nil, nil
	case encoding == "zstd":
		return unzstd, nil
	}
	return nil, &EncodingError{true, fmt.Sprintf("content encoding %.40q is not supported; send gzip, zstd, snappy in frames, or none", encoding)}
}

// paced is the body of a request whose sender may neither pause nor take too
// long.
type paced struct {
	body  io.Reader
	w     http.ResponseWriter
	until time.Time // when the whole body must be there
}

func (p *paced) Read(b []byte) (int, error) {
	deadline := time.Now().Add(MaxPause)
	if deadline.After(p.until) {
		deadline = p.until
	}
	if err := SetReadDeadline(p.w, deadline); err != nil {
		return 0, err
	}
	return p.body.Read(b)
}

// SetReadDeadline bounds the reading of a request, where the server can.
func SetReadDeadline(w http.ResponseWriter, t time.Time) error {
	err := http.NewResponseController(w).SetReadDeadline(t)
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// gunzip is a decompressor that is kept for the next body.
type gunzip struct {
	in  bytes.Reader
	out gzip.Reader
}

var gunzips = sync.Pool{New: func() any { return new(gunzip) }}

// inflate decompresses a body into another one, which the caller releases.
func inflate(room *Room, limit int64, zipped []byte) (*Body, error) {
	b := New(room, limit)
	z := gunzips.Get().(*gunzip)
	defer func() {
		z.in.Reset(nil)
		gunzips.Put(z)
	}()
	z.in.Reset(zipped)
	if err := z.out.Reset(&z.in); err != nil {
		return b, &EncodingError{false, fmt.Sprintf("decompress the body: %v", err)}
	}
	// A gzip file ends with its length. It may lie, as any announcement may.
	length := int64(binary.LittleEndian.Uint32(zipped[len(zipped)-4:]))
	return b, b.fill(&z.out, length)
}

// snappyFrames is what snappy begins with that comes in frames.
const snappyFrames = "\xff\x06\x00\x00sNaPpY"

var unsnaps = sync.Pool{New: func() any { return snappy.NewReader(nil) }}

// unsnap undoes snappy in frames, likewise.
func unsnap(room *Room, limit int64, packed []byte) (*Body, error) {
	b := New(room, limit)
	if len(packed) > 0 && !bytes.HasPrefix(packed, []byte(snappyFrames)) {
		return b, broken(errors.New("it is no snappy in frames; a block of snappy is for remote write only"))
	}
	z := unsnaps.Get().(*snappy.Reader)
	defer func() {
		z.Reset(nil)
		unsnaps.Put(z)
	}()
	z.Reset(bytes.NewReader(packed))
	err := b.fill(z, 0)
	if err != nil && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrNoRoom) {
		err = broken(err)
	}
	return b, err
}
