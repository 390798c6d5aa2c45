package collect

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hubring/hubring/internal/body"
)

const (
	contentType = "application/grpc"
	prefix      = 5 // bytes in front of a message: whether it is compressed, and its length
)

// Config is what a door has to know.
type Config struct {
	Methods []string      // that are served
	Room    *body.Room    // for messages
	Bytes   int64         // of a message, after decompression as well
	Time    time.Duration // in which it must be there

	// Enter lets a call in before its message is read, and is told when it has been answered.
	Enter func(*http.Request) (leave func(), err error)
	// Take takes what read brings, all of it or none, and returns how many samples there are. It may call read again.
	Take func(r *http.Request, read func(each func(Family) error) error) (samples int, err error)
	// Refuse is the answer to an error of the others, or to a *ReadError. The samples are those that Take returned.
	Refuse func(samples int, err error) Refusal
}

// Door serves methods. It is for servers that speak HTTP/2.
type Door struct {
	cfg     Config
	readers map[string]reader
}

// New returns a door.
func New(cfg Config) *Door {
	d := &Door{cfg, map[string]reader{}}
	for _, m := range cfg.Methods {
		d.readers[m] = readers[m]
	}
	return d
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	if r.Method != http.MethodPost || kind != contentType && !strings.HasPrefix(kind, contentType+"+") {
		http.Error(w, "this port takes calls by gRPC", http.StatusUnsupportedMediaType)
		return
	}
	read := d.readers[r.URL.Path]
	if read == nil {
		respond(w, Refusal{Unimplemented, "unknown_method", fmt.Sprintf("there is no method %.100q here", r.URL.Path)})
		return
	}
	if n, err := d.call(w, r, read); err != nil {
		respond(w, d.cfg.Refuse(n, err))
		return
	}
	respond(w, Refusal{Code: OK})
}

func (d *Door) call(w http.ResponseWriter, r *http.Request, read reader) (samples int, err error) {
	leave, err := d.cfg.Enter(r)
	if err != nil {
		return 0, err
	}
	defer leave()
	b, err := d.receive(w, r)
	defer func() { b.Release() }()
	if err != nil {
		return 0, &ReadError{err}
	}
	return d.cfg.Take(r, func(each func(Family) error) error { return read(b.Bytes(), each) })
}

// receive reads the message of a call, which behind its prefix is a body as others. The caller releases what it returns.
func (d *Door) receive(w http.ResponseWriter, r *http.Request) (*body.Body, error) {
	none := body.New(d.cfg.Room, 0)
	var start [prefix]byte
	if err := body.SetReadDeadline(w, time.Now().Add(min(d.cfg.Time, body.MaxPause))); err != nil {
		return none, err
	}
	if _, err := io.ReadFull(r.Body, start[:]); err != nil {
		return none, unreadable(err)
	}
	m := &message{r.Body, int64(binary.BigEndian.Uint32(start[1:]))}
	plain := r.WithContext(r.Context())
	plain.Header, plain.Body, plain.ContentLength = http.Header{}, m, m.left
	if start[0] != 0 {
		plain.Header.Set("Content-Encoding", r.Header.Get("Grpc-Encoding"))
	}
	b, _, err := body.Receive(w, plain, d.cfg.Room, body.Limits{Bytes: d.cfg.Bytes, Time: d.cfg.Time})
	if err == nil {
		err = m.end()
	}
	return b, unreadable(err)
}

// ReadError says that a message did not come whole: it has an error of package body, or of the connection.
type ReadError struct{ Err error }

func (e *ReadError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *ReadError) Unwrap() error { return e.Err }

// errNoMessage says that a call has no message, or that it broke off.
var errNoMessage = errors.New("the call ends before its message does")

func unreadable(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errNoMessage
	}
	return err
}

// message is the body of a call behind the prefix of its message.
type message struct {
	io.ReadCloser
	left int64
}

// Read implements io.Reader. It ends with the message.
func (m *message) Read(b []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	n, err := m.ReadCloser.Read(b[:min(int64(len(b)), m.left)])
	if m.left -= int64(n); m.left > 0 && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// end sees to it that nothing comes behind the message.
func (m *message) end() error {
	var more [1]byte
	if _, err := io.ReadFull(m.ReadCloser, more[:]); errors.Is(err, io.EOF) {
		return nil
	} else if err != nil {
		return err
	}
	return errors.New("a call has one message, and here are more")
}
