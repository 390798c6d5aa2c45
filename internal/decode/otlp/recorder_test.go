package otlp

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/internal/decode"
)

// recorder is a sink that writes down what it is brought, a line each.
type recorder struct {
	t      testing.TB
	lines  []string
	reject func(series string) error
}

func (r *recorder) say(format string, args ...any) {
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *recorder) Sample(series []byte, ms int64, value float64) error {
	if r.reject != nil {
		if err := r.reject(string(series)); err != nil {
			return err
		}
	}
	text := fmt.Sprint(value)
	if math.Float64bits(value) == 0x7ff0000000000002 {
		text = "stale"
	}
	r.say("%s %s @%s", series, text, at(ms))
	return nil
}

func at(ms int64) string {
	if ms == decode.NoTime {
		return "arrival"
	}
	return strconv.FormatInt(ms, 10)
}

func (r *recorder) Histogram(series []byte, ms int64, message []byte) error {
	h := &dto.Histogram{}
	require.NoError(r.t, proto.Unmarshal(message, h))
	r.say("%s %s @%s", series, spaces(h.String()), at(ms))
	return nil
}

func (r *recorder) Exemplar(message []byte) error {
	e := &dto.Exemplar{}
	require.NoError(r.t, proto.Unmarshal(message, e))
	r.say(" exemplar %s", spaces(e.String()))
	return nil
}

// spaces makes one of two, which messages have at random.
func spaces(s string) string { return strings.ReplaceAll(s, "  ", " ") }

func (r *recorder) Start(ms int64) error {
	r.say(" since %d", ms)
	return nil
}

func (r *recorder) Type(family, kind []byte) error {
	r.say("# TYPE %s %s", family, kind)
	return nil
}

func (r *recorder) Help(family, text []byte) error {
	r.say("# HELP %s %s", family, text)
	return nil
}

// defaults is how a hub translates.
var defaults = Config{Strategy: Strategies[0], Gateway: "gatewayID"}

// read has a request in JSON read.
func (r *recorder) read(cfg Config, request string) error {
	translator, err := New(cfg)
	require.NoError(r.t, err)
	body, err := FromJSON(nil, []byte(request))
	require.NoError(r.t, err)
	return translator.Protobuf(body, r, func(metric string, points int, err error) {
		r.say("! %s %d: %v", metric, points, err)
	})
}

// checks reads a request and compares the lines.
func checks(t *testing.T, cfg Config, request string, want ...string) {
	t.Helper()
	r := &recorder{t: t}
	require.NoError(t, r.read(cfg, request))
	require.Equal(t, want, r.lines)
}

// of is a request with metrics of a resource; both are the inner parts of lists.
func of(attributes, metrics string) string {
	return `{"resourceMetrics":[{"resource":{"attributes":[` + attributes + `]},"scopeMetrics":[{"scope":{"name":"lib","version":"1.2","attributes":[` +
		str("tier", "x") + `]},"schemaUrl":"https://s","metrics":[` + metrics + `]}]}]}`
}

func str(key, value string) string {
	return fmt.Sprintf(`{"key":%q,"value":{"stringValue":%q}}`, key, value)
}

// number is the point of a gauge or a sum, 5 s after the epoch.
func number(value string, attributes ...string) string {
	return fmt.Sprintf(`{"timeUnixNano":"5000000000","startTimeUnixNano":"1000000000","asDouble":%s,"attributes":[%s]}`, value, strings.Join(attributes, ","))
}
