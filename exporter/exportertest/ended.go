package exportertest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// End is what a hub was told of a gateway: its samples go to another hub now.
type End struct {
	Gateway   string // empty for what is of no gateway
	Timestamp int64  // of its first sample there, milliseconds since the epoch
	At        time.Time
}

// Of one POST /gateways/ended, as edgehub bounds it.
const (
	maxEnds      = 10_000
	maxEndsBytes = 1 << 20
)

// Ended makes the hub treat all POST /gateways/ended so, until Recover. A Status of 404
// is what a hub says that does not know them.
func (h *Hub) Ended(reply Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = reply
}

// Ends returns what the hub was told of gateways that left it, in the order of arrival.
func (h *Hub) Ends() []End {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ends.list()
}

// OnEnded makes the hub call f for the ends of every request that it takes in, before
// it is answered, one at a time and not beside a function of OnPush. Nil ends that.
func (h *Hub) OnEnded(f func([]End)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.onEnded = f
}

// serveEnded serves POST /gateways/ended. What it meets is what a push meets.
func (h *Hub) serveEnded(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.noteLocked(r)
	reply := h.ended
	h.mu.Unlock()
	if reply.Status == 0 {
		reply.Status = http.StatusOK
	}
	if err := h.hear(r, &reply); err != nil {
		abort(w, r)
	}
	h.write(w, reply)
}

// hear reads a request, and takes it in if the reply says so. An error means that the
// connection is to be cut.
func (h *Hub) hear(r *http.Request, reply *Reply) error {
	if reply.CutAfter != 0 {
		_, _ = io.CopyN(io.Discard, r.Body, int64(max(reply.CutAfter, 0)))
		h.wait(r.Context(), *reply)
		return errCut
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxEndsBytes+1))
	if err != nil {
		return fmt.Errorf("read what has ended: %w", err)
	}
	ends, err := readEnds(body)
	if err != nil && reply.takes() {
		reply.Status, reply.Body, reply.Kept = http.StatusBadRequest, err.Error()+"\n", false
	}
	if reply.Kept {
		if err := h.end(r, ends); err != nil {
			return err
		}
	}
	if !h.wait(r.Context(), *reply) {
		return errCut
	}
	if reply.takes() && !reply.Kept {
		if err := h.end(r, ends); err != nil {
			return err
		}
	}
	if reply.Lost {
		return errCut
	}
	return nil
}

// readEnds reads the lines of a request: a gateway's ID, escaped as in a query, a space
// and the time.
func readEnds(body []byte) ([]End, error) {
	if len(body) > maxEndsBytes {
		return nil, fmt.Errorf("the body has more than %d bytes", maxEndsBytes)
	}
	if len(body) > 0 && body[len(body)-1] != '\n' {
		return nil, errors.New("the last line does not end")
	}
	var ends []End
	for line := range bytes.Lines(body) {
		id, stamp, ok := bytes.Cut(line[:len(line)-1], []byte{' '})
		gateway, err := url.QueryUnescape(string(id))
		at, err2 := strconv.ParseInt(string(stamp), 10, 64)
		if !ok || err != nil || err2 != nil {
			return nil, fmt.Errorf("line %d: want an ID and a time, got %.100q", len(ends)+1, line)
		}
		ends = append(ends, End{Gateway: gateway, Timestamp: at})
	}
	if len(ends) > maxEnds {
		return nil, fmt.Errorf("the body has %d lines, at most %d are allowed", len(ends), maxEnds)
	}
	return ends, nil
}

// end takes a request in. It fails when the hub was killed meanwhile.
func (h *Hub) end(r *http.Request, ends []End) error {
	h.turn <- struct{}{}
	defer func() { <-h.turn }()
	if err := h.lockThawed(r.Context()); err != nil {
		return err
	}
	if conn := connOf(r.Context()); conn != nil && conn.isCut() {
		h.mu.Unlock()
		return errCut
	}
	for i := range ends {
		ends[i].At = time.Now()
		h.ends.add(ends[i])
	}
	hook := h.onEnded
	h.mu.Unlock()
	if hook != nil {
		hook(ends)
	}
	return nil
}
