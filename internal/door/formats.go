package door

import (
	"fmt"
	"mime"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/hubring/hubring/internal/decode"
	"github.com/hubring/hubring/internal/decode/families"
	"github.com/hubring/hubring/internal/decode/openmetrics"
)

// Format says how the bytes of a push are read.
type Format struct {
	Read func(body []byte, to decode.Sink) error // nil for the text format, which is read by what the table knows
}

// The formats of pushes.
var (
	Text        = Format{} // version 0.0.4
	OpenMetrics = Format{func(body []byte, to decode.Sink) error { return openmetrics.Read(body, false, to) }}
	Protobuf    = Format{families.Read}
)

const (
	openMetricsMedia = "application/openmetrics-text"
	protobufMedia    = "application/vnd.google.protobuf"
	writeMedia       = "application/x-protobuf" // of remote write
)

// PushedFormat is the format of a push that a Content-Type says. Whatever else is sent, by curl for one, is taken for the text format.
func PushedFormat(h http.Header) (Format, error) {
	header := h.Get(echo.HeaderContentType)
	media, _, _ := strings.Cut(header, ";")
	switch strings.ToLower(strings.TrimSpace(media)) {
	case openMetricsMedia:
		return OpenMetrics, nil
	case protobufMedia:
		return Protobuf, checkProtobuf(header)
	case writeMedia:
		return Format{}, unsupported(fmt.Sprintf("content type %s is that of remote write, which goes to %s; send %s here as %s", writeMedia, WritePath, "metric families", protobufMedia))
	}
	return Text, nil
}

// checkProtobuf refuses messages of another kind, and those that are written as text. Most senders say which they send, and who says nothing
// sends the usual ones.
func checkProtobuf(header string) error {
	_, params, err := mime.ParseMediaType(header)
	if err != nil {
		return nil
	}
	for name, want := range map[string]string{"proto": "io.prometheus.client.MetricFamily", "encoding": "delimited"} {
		if got, said := params[name]; said && !strings.EqualFold(got, want) {
			return unsupported(fmt.Sprintf("content type %.100q is not supported; send %s=%s", header, name, want))
		}
	}
	return nil
}

func unsupported(text string) *RefusedError {
	return &RefusedError{Status: http.StatusUnsupportedMediaType, Reason: "content_type", Text: text, Unread: true}
}
