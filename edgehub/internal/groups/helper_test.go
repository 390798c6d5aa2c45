package groups

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
)

const textType = "text/plain; version=0.0.4"

const protoType = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"

var (
	plenty = Limits{Groups: 100_000, Series: 1_000_000, Bytes: 1 << 30, SeriesBytes: 8 << 10, Labels: 64}
	start  = time.Unix(1_700_000_000, 0)
)

// tested is a set and what is needed to ask it.
type tested struct {
	*Set
	t   testing.TB
	now time.Time
}

func newSet(t testing.TB, cfg Config) *tested {
	t.Helper()
	if cfg.Limits == (Limits{}) {
		cfg.Limits = plenty
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := New(cfg)
	require.NoError(t, s.Open())
	return &tested{s, t, start}
}

// push pushes a text to the group of a path, with PUT or POST, and returns why it was refused, or nothing.
func (s *tested) push(method, path, text string) (reason string) {
	s.t.Helper()
	return s.pushFor(method, path, text, nil)
}

func (s *tested) pushFor(method, path, text string, ttl *time.Duration) (reason string) {
	s.t.Helper()
	labels, refused := ParsePath(path)
	require.Nil(s.t, refused)
	families, refused := s.Decode(textType, []byte(text))
	require.Nil(s.t, refused)
	err := s.Push(Push{Labels: labels, Families: families, Replace: method == "PUT", TTL: ttl}, s.now)
	require.Equal(s.t, err == nil, reasonOf(err) == "", "%v", err)
	return reasonOf(err)
}

func (s *tested) delete(path string) {
	s.t.Helper()
	labels, refused := ParsePath(path)
	require.Nil(s.t, refused)
	require.NoError(s.t, s.Delete(labels))
}

func reasonOf(err error) string {
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return refused.Reason
	}
	return ""
}

// series are the lines of a view but for comments and times.
func (s *tested) series() []string {
	s.t.Helper()
	return seriesOf(s.text(nil))
}

func seriesOf(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "push_") {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		}
	}
	slices.Sort(lines)
	return lines
}

func (s *tested) text(beside Beside) string {
	s.t.Helper()
	var out bytes.Buffer
	_, err := s.View(s.now).Text(&out, beside)
	require.NoError(s.t, err)
	return out.String()
}

// messages are what a view is as protobuf.
func (s *tested) messages() []string {
	s.t.Helper()
	var out bytes.Buffer
	require.NoError(s.t, s.View(s.now).Proto(&out))
	var all []string
	for in := bytes.NewReader(out.Bytes()); in.Len() > 0; {
		f := &dto.MetricFamily{}
		require.NoError(s.t, protodelim.UnmarshalFrom(in, f))
		if !strings.HasPrefix(f.GetName(), "push_") {
			text, err := prototext.MarshalOptions{}.Marshal(f)
			require.NoError(s.t, err)
			all = append(all, strings.ReplaceAll(string(text), "  ", " "))
		}
	}
	return all
}

// parses says that expfmt reads a text.
func parses(t testing.TB, text string) {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	_, err := parser.TextToMetricFamilies(strings.NewReader(text))
	require.NoError(t, err, "%s", text)
}

// delimitedBody is families, each as prototext, as a body.
func delimitedBody(t testing.TB, families ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, text := range families {
		f := &dto.MetricFamily{}
		require.NoError(t, prototext.Unmarshal([]byte(text), f))
		_, err := protodelim.MarshalTo(&out, f)
		require.NoError(t, err)
	}
	return out.Bytes()
}

func (s *tested) pushProto(path string, families ...string) (reason string) {
	s.t.Helper()
	labels, refused := ParsePath(path)
	require.Nil(s.t, refused)
	decoded, refused := s.Decode(protoType, delimitedBody(s.t, families...))
	if refused != nil {
		return refused.Reason
	}
	return reasonOf(s.Push(Push{Labels: labels, Families: decoded, Replace: true}, s.now))
}

func (s *tested) has(lines ...string) {
	s.t.Helper()
	slices.Sort(lines)
	assert.Equal(s.t, lines, s.series())
}
