package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hubring/hubring/internal/body"
	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/otlp"
)

const (
	// OTLPPath is where metrics of OTLP go.
	OTLPPath = "/v1/metrics"

	otlpProtobuf = "application/x-protobuf"
	otlpJSON     = "application/json"
)

// OTLP serves OpenTelemetry's metrics over HTTP, at OTLPPath.
type OTLP struct {
	house      House
	translator *otlp.Translator
}

// NewOTLP returns the door of a house.
func NewOTLP(house House, t *otlp.Translator) *OTLP { return &OTLP{house, t} }

// export is one request of OTLP, by an exporter as OpenTelemetry calls it.
type export struct {
	d       *OTLP
	media   string         // of the request, and of what it is answered; empty where it is none that is read
	reasons map[string]int // data points that were left out, by reason
	left    int            // those of all reasons
	metrics int            // that have such points
	texts   []string       // of the first of them
}

// Serve serves a request. What of it can be taken is taken, and the answer says what not; no client repeats that. For what may be
// taken later the whole is refused by a status upon which clients come again.
func (d *OTLP) Serve(c echo.Context) error {
	start := time.Now()
	x := &export{d: d}
	n, err := x.take(c)
	d.house.Took(time.Since(start).Seconds())
	if err != nil {
		return x.refuse(c, n, err)
	}
	return x.answer(c)
}

// take reads a request and has it taken in.
func (x *export) take(c echo.Context) (n int, err error) {
	err = x.d.house.Receive(c, body.Limits{}, x.check, func(message []byte, broken error) (err error) {
		if broken != nil {
			return broken
		}
		n, err = x.read(c, message)
		return err
	})
	return n, err
}

// check says what a request is in.
func (x *export) check(h http.Header) error {
	media, _, _ := strings.Cut(h.Get(echo.HeaderContentType), ";")
	switch media = strings.ToLower(strings.TrimSpace(media)); media {
	case otlpProtobuf, otlpJSON:
		x.media = media
		return nil
	}
	return &RefusedError{
		Status: http.StatusUnsupportedMediaType, Reason: "content_type", Unread: true,
		Text: fmt.Sprintf("content type %.80q is not supported; send %s or %s", media, otlpProtobuf, otlpJSON),
	}
}

// read has a body taken in.
func (x *export) read(c echo.Context, message []byte) (int, error) {
	house := x.d.house
	if x.media == otlpJSON {
		memory := min(otlp.JSONGrowth*int64(len(message)), house.Room().Limit()/2)
		if !house.Room().Take(memory) {
			return 0, body.ErrNoRoom
		}
		defer house.Room().Release(memory)
		var err error
		if message, err = otlp.FromJSON(make([]byte, 0, len(message)), message); err != nil {
			return 0, err
		}
	}
	n, err := house.Take(c, func(to decode.Sink) error {
		x.reasons, x.left, x.metrics, x.texts = nil, 0, 0, nil // it may be read again
		return x.d.translator.Protobuf(message, to, x.leave)
	})
	for reason, points := range x.reasons {
		if err == nil {
			house.LeftOut(reason, points)
		}
	}
	return n, err
}

// leave notes why data points of a metric are left out.
func (x *export) leave(metric string, points int, why error) {
	text, reason := why.Error(), "temporality"
	if temporality := (*otlp.TemporalityError)(nil); !errors.As(why, &temporality) {
		refused := x.d.house.Refusal(why)
		text, reason = refused.Text, refused.Reason
	}
	if x.reasons == nil {
		x.reasons = map[string]int{}
	}
	x.reasons[reason] += points
	x.left += points
	if x.metrics++; len(x.texts) < namedRefusals {
		x.texts = append(x.texts, fmt.Sprintf("metric %.200q: %s", metric, text))
	}
}

// text says what was left out.
func (x *export) text() string {
	text := fmt.Sprintf("%d data points are refused, the others are stored: %s", x.left, strings.Join(x.texts, "; "))
	if more := x.metrics - len(x.texts); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return text
}

// answer says that a request was taken, as an ExportMetricsServiceResponse.
func (x *export) answer(c echo.Context) error {
	if x.left == 0 {
		if x.media == otlpJSON {
			return c.Blob(http.StatusOK, otlpJSON, []byte("{}"))
		}
		return c.Blob(http.StatusOK, otlpProtobuf, nil)
	}
	text := strings.ToValidUTF8(x.text(), "\uFFFD")
	if x.media == otlpJSON {
		return c.JSON(http.StatusOK, map[string]any{
			"partialSuccess": map[string]any{"rejectedDataPoints": strconv.Itoa(x.left), "errorMessage": text},
		})
	}
	partial := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(x.left))
	partial = protowire.AppendString(protowire.AppendTag(partial, 2, protowire.BytesType), text)
	return c.Blob(http.StatusOK, otlpProtobuf, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), partial))
}

// refuse answers an error of take as a google.rpc.Status in the request's format.
func (x *export) refuse(c echo.Context, n int, err error) error {
	r := x.d.house.Refusal(err)
	r.Status = later(r.Status)
	x.d.house.Refused(r.Reason, n)
	if err := x.d.house.Say(c, r); err != nil {
		return err
	}
	text := strings.ToValidUTF8(r.Text, "\uFFFD")
	switch x.media {
	case otlpJSON:
		status, err := json.Marshal(map[string]string{"message": text})
		if err != nil {
			return err
		}
		return c.Blob(r.Status, otlpJSON, status)
	case otlpProtobuf:
		return c.Blob(r.Status, otlpProtobuf, protowire.AppendString(protowire.AppendTag(nil, 2, protowire.BytesType), text))
	}
	return c.String(r.Status, r.Text+"\n")
}
