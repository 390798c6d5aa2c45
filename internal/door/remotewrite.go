package door

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/remotewrite"
)

const (
	// WritePath is where remote write goes.
	WritePath = "/api/v1/write"
	// writtenText bounds the text of a request's series, as times the limit of a body: 2.0 says what many of them have once.
	writtenText = 4
	// maxRefusals is how many series or samples may be left out of one request; with more of them nothing is taken.
	maxRefusals = 100_000
)

// RemoteWrite serves remote write, 1.0 and 2.0, at WritePath.
type RemoteWrite struct {
	house       House
	seriesBytes int
	bodyBytes   int64
	decoders    sync.Pool // of *remotewrite.Decoder
}

// NewRemoteWrite returns the door of a house whose series may have so many bytes, and bodies so many.
func NewRemoteWrite(house House, seriesBytes int, bodyBytes int64) *RemoteWrite {
	return &RemoteWrite{house: house, seriesBytes: seriesBytes, bodyBytes: bodyBytes}
}

// Serve serves a request. What is stored of a request that is amiss in parts is what is not, as the protocol wants it: a sender
// does not repeat what is answered 400.
func (d *RemoteWrite) Serve(c echo.Context) error {
	r := c.Request()
	if r.URL.RawQuery != "" && r.ContentLength == 0 && c.QueryParam("get_vm_proto_version") != "" {
		return c.String(http.StatusOK, "1") // vmagent asks whether it may pack by zstd
	}
	start := time.Now()
	w := d.newWrite(r.Header)
	defer w.release()
	err := w.take(c)
	d.house.Took(time.Since(start).Seconds())
	if w.version == remotewrite.V2 {
		w.tell(c.Response().Header(), err == nil)
	}
	switch {
	case err != nil:
		r := d.house.Refusal(err)
		r.Status = later(r.Status)
		d.house.Refused(r.Reason, w.samples())
		return d.answer(c, r)
	case w.left > 0 || len(w.texts) > 0:
		return d.answer(c, *w.partial())
	}
	return c.NoContent(http.StatusNoContent)
}

// answer says why a request was refused, or what of it.
func (d *RemoteWrite) answer(c echo.Context, r RefusedError) error {
	if err := d.house.Say(c, r); err != nil {
		return err
	}
	return c.String(r.Status, r.Text+"\n")
}

// write is one request of remote write.
type write struct {
	d       *RemoteWrite
	decoder *remotewrite.Decoder
	version remotewrite.Version
	undo    body.Undo
	amiss   error // with its headers
	used    int64 // of the room

	written  remotewrite.Written
	left     int            // samples that were left out
	refusals int            // of series and samples
	reasons  map[string]int // samples by reason
	first    string         // reason
	texts    []string
}

func (d *RemoteWrite) newWrite(h http.Header) *write {
	w := &write{d: d}
	if w.version, w.amiss = versionOf(h); w.amiss == nil {
		w.undo, w.amiss = body.Block(h)
	}
	w.decoder, _ = d.decoders.Get().(*remotewrite.Decoder)
	if w.decoder == nil {
		w.decoder = &remotewrite.Decoder{SeriesBytes: d.seriesBytes, TextBytes: int(writtenText * d.bodyBytes)}
	}
	w.decoder.Room, w.decoder.Refuse = w.room, w.refuse
	return w
}

func (w *write) release() {
	w.decoder.Room, w.decoder.Refuse = nil, nil
	w.d.decoders.Put(w.decoder)
}

// versionOf is the version that a Content-Type says. Some senders of 1.0 say text/plain, or nothing.
func versionOf(h http.Header) (remotewrite.Version, error) {
	const known = "application/x-protobuf, with proto=prometheus.WriteRequest or proto=io.prometheus.write.v2.Request"
	header := h.Get(echo.HeaderContentType)
	media, params, err := mime.ParseMediaType(header)
	if header == "" {
		err = nil
	}
	switch {
	case err != nil:
	case media == "application/x-protobuf":
		switch params["proto"] {
		case "", "prometheus.WriteRequest":
			return remotewrite.V1, nil
		case "io.prometheus.write.v2.Request":
			return remotewrite.V2, nil
		}
	case media == "", media == "text/plain", media == "application/octet-stream", media == "application/protobuf":
		return remotewrite.V1, nil
	}
	return 0, &RefusedError{
		Status: http.StatusUnsupportedMediaType, Reason: "content_type", Unread: true,
		Text: fmt.Sprintf("content type %.80q is not supported; send %s", header, known),
	}
}

// take reads a request and has it taken in.
func (w *write) take(c echo.Context) error {
	house := w.d.house
	return house.Receive(c, body.Limits{Undo: w.undo}, func(http.Header) error { return w.amiss }, func(message []byte, broken error) error {
		if broken != nil {
			return broken
		}
		defer func() { house.Room().Release(w.used) }()
		_, err := house.Take(c, func(to decode.Sink) error { return w.read(message, to) })
		if err == nil {
			w.count()
		}
		return err
	})
}

// read brings a message to a sink. It may be called again.
func (w *write) read(message []byte, to decode.Sink) (err error) {
	w.left, w.refusals, w.reasons, w.first, w.texts = 0, 0, nil, "", nil
	w.written, err = w.decoder.Decode(w.version, message, to)
	switch {
	case errors.Is(err, remotewrite.ErrTooLarge):
		return &RefusedError{Status: http.StatusRequestEntityTooLarge, Reason: "body_too_large", Text: remotewrite.ErrTooLarge.Error()}
	case err == nil && w.left > 0 && w.written.Samples+w.written.Histograms == 0:
		return w.partial()
	}
	return err
}

// room takes memory for what is noted of a message.
func (w *write) room(bytes int) error {
	if !w.d.house.Room().Take(int64(bytes)) {
		return body.ErrNoRoom
	}
	w.used += int64(bytes)
	return nil
}

// refuse notes why samples are left out.
func (w *write) refuse(samples int, why error) error {
	r := w.d.house.Refusal(why)
	if w.refusals++; w.refusals > maxRefusals {
		return &RefusedError{
			Status: http.StatusBadRequest, Reason: w.first,
			Text: fmt.Sprintf("more than %d series or samples are amiss, so that nothing is stored: %s", maxRefusals, strings.Join(w.texts, "; ")),
		}
	}
	if w.reasons == nil {
		w.reasons, w.first = map[string]int{}, r.Reason
	}
	w.left += samples
	w.reasons[r.Reason] += samples
	if len(w.texts) < namedRefusals {
		w.texts = append(w.texts, r.Text)
	}
	return nil
}

// partial is the answer to a request of which some is amiss.
func (w *write) partial() *RefusedError {
	stored := "the others are stored"
	if w.written.Samples+w.written.Histograms == 0 {
		stored = "nothing is stored"
	}
	text := fmt.Sprintf("%d of %d samples are refused, %s: %s", w.left, w.samples(), stored, strings.Join(w.texts, "; "))
	if more := w.refusals - len(w.texts); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return &RefusedError{Status: http.StatusBadRequest, Reason: w.first, Text: text}
}

// samples is how many there are in a message, as far as it was read.
func (w *write) samples() int { return w.written.Samples + w.written.Histograms + w.left }

// count counts what was left out of a request that was taken.
func (w *write) count() {
	for reason, n := range w.reasons {
		w.d.house.LeftOut(reason, n)
	}
	w.d.house.LeftExemplars(w.written.Alone)
}

// tell says what of a request of 2.0 is stored: without it a Prometheus takes everything for failed.
func (w *write) tell(h http.Header, stored bool) {
	written := w.written
	if !stored {
		written = remotewrite.Written{}
	}
	for name, n := range map[string]int{"Samples": written.Samples, "Histograms": written.Histograms, "Exemplars": written.Exemplars} {
		h.Set("X-Prometheus-Remote-Write-"+name+"-Written", strconv.Itoa(n))
	}
}
