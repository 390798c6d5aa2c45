package compare

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/edgehub"
	"github.com/hubring/hubring/internal/exposition"
)

// likes are what Prometheus 3.15 asks with, without and with scrape_protocols.
const (
	likesText     = "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
	likesProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7," +
		"text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.4"
)

// pushed is a hub that was pushed bodies, for a scraper of each kind.
func pushed(t require.TestingT, bodies ...[]byte) http.Handler {
	hub, err := edgehub.New(edgehub.Config{
		Logger: slog.New(slog.DiscardHandler), NoFirstSamples: true, MaxAge: time.Since(time.Unix(0, 0)), OpenMetrics2: true,
		Cursors: []string{likesText, likesProtobuf, openMetrics[0].likes, openMetrics[1].likes},
	})
	require.NoError(t, err)
	for _, body := range bodies {
		hub.Handler().ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/metrics", bytes.NewReader(body)))
	}
	return hub.Handler()
}

// answered is what a hub answers a Prometheus that asks so.
func answered(t require.TestingT, hub http.Handler, accept string) (contentType string, body []byte) {
	r := httptest.NewRequest(http.MethodGet, "/metrics?"+url.Values{"cursor": {accept}}.Encode(), nil)
	r.Header.Set("X-Prometheus-Scrape-Timeout-Seconds", "10")
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	hub.ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	return w.Header().Get("Content-Type"), w.Body.Bytes()
}

// oldest is the time from which on samples are compared. Earlier ones may be too old for one
// response and not for the one before; Prometheus reads no negative times.
const oldest = 60_000

// told is what a Prometheus stores of a response.
type told struct {
	points     map[string][]sample // by series; each has a time
	histograms map[string]int      // that were converted, and how many points they have
	types      map[string]model.MetricType
	helps      map[string]string
	again      bool // a series comes again with a time that is not later than its last
}

// tell parses a response as Prometheus does, and keeps what its storage does: ascending
// times.
func tell(contentType string, body []byte, opts textparse.ParserOptions) (told, error) {
	all := told{points: map[string][]sample{}, histograms: map[string]int{}, types: map[string]model.MetricType{}, helps: map[string]string{}}
	p, err := textparse.New(slices.Clone(body), contentType, labels.NewSymbolTable(), opts)
	if err != nil {
		return all, err
	}
	for {
		entry, err := p.Next()
		switch {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return all, err
		case entry == textparse.EntryType:
			name, kind := p.Type()
			all.types[unescape(name)] = kind
		case entry == textparse.EntryHelp:
			name, text := p.Help()
			all.helps[unescape(name)] = string(text)
		case entry == textparse.EntryHistogram:
			var l labels.Labels
			p.Labels(&l)
			all.histograms[l.String()]++
		case entry == textparse.EntrySeries:
			_, at, value := p.Series()
			if at == nil {
				return all, errors.New("a sample without a time")
			}
			var l labels.Labels
			p.Labels(&l)
			if name, twice := l.HasDuplicateLabelNames(); twice || !l.IsValid(model.UTF8Validation) {
				return all, fmt.Errorf("%s is no series (%s)", l, name)
			}
			if *at < oldest {
				continue
			}
			key := l.String()
			if known := all.points[key]; len(known) > 0 && known[len(known)-1].ms >= *at {
				all.again = true
				continue
			}
			all.points[key] = append(all.points[key], sample{value: math.Float64bits(value), ms: *at, timed: true})
		}
	}
}

// requireSame compares what a Prometheus stores by protobuf with what it does by text.
func requireSame(t require.TestingT, bodies ...[]byte) (text, protobuf told) {
	hub := pushed(t, bodies...)
	contentType, body := answered(t, hub, likesText)
	text, err := tell(contentType, body, textparse.ParserOptions{})
	require.NoError(t, err, "%q", body)
	contentType, body = answered(t, hub, likesProtobuf)
	require.Equal(t, exposition.ProtobufContentType, contentType)
	protobuf, err = tell(contentType, body, textparse.ParserOptions{IgnoreNativeHistograms: true})
	require.NoError(t, err, "%q", body)
	// A Prometheus that converts histograms takes it, too.
	_, err = tell(contentType, body, textparse.ParserOptions{ConvertClassicHistogramsToNHCB: true})
	require.NoError(t, err, "%q", body)
	// Where senders write one bucket in two ways, the formats may differ in which is first.
	if !text.again {
		require.Equal(t, text.points, protobuf.points, "%q", bodies)
		require.False(t, protobuf.again)
	}
	return text, protobuf
}

var sameSeeds = [][]byte{
	[]byte("# HELP a_total What.\n# TYPE a_total counter\na_total{x=\"y\"} 1 60005\na_total{x=\"y\"} 2 60004\na_total{x=\"z\\n\\\\\"} NaN 60009\n"),
	[]byte("# TYPE h histogram\nh_bucket{a=\"b\",le=\"1\"} 1 60005\nh_bucket{a=\"b\",le=\"1e3\"} 2 60005\nh_bucket{a=\"b\",le=\"+Inf\"} 3 60005\nh_sum{a=\"b\"} 4.5 60005\nh_count{a=\"b\"} 3 60005\n" +
		"h_bucket{a=\"b\",le=\"1\"} 1 60006\nh_bucket{a=\"b\",le=\"1e3\"} 2 60006\nh_bucket{a=\"b\",le=\"+Inf\"} 3 60006\nh_sum{a=\"b\"} 4.5 60006\nh_count{a=\"b\"} 3 60006\n"),
	[]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 1 60005\nh_sum 2 60005\nh_count 1 60007\nh_bucket{le=\"+Inf\"} 1 60007\nh_sum 2 60007\nh 4 60005\nh_bucket 8 60009\n"),
	[]byte("h_bucket{le=\"1\"} 1 60005\nh_bucket{le=\"small\"} 1 60005\nh_sum{le=\"2\"} 3 60004\n"),
	[]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 5 60005\nh_bucket{le=\"+Inf\"} 3 60005\nh_sum -0 60005\nh_count 4 60005\n"),
	[]byte("# TYPE s summary\ns{quantile=\"0.50\"} 1 60005\ns{quantile=\"1\"} NaN 60005\ns_sum 2 60005\ns_count 3 60005\ns_sum 2 60006\n"),
	[]byte("# TYPE s summary\ns_sum 2 60005\ns_count 3.5 60005\ns_bucket{le=\"1\",quantile=\"1\"} 1 60005\n"),
	[]byte("# TYPE \"x.y\" histogram\n{\"x.y_bucket\",\"a.b\"=\"c\",le=\"+Inf\"} 1 60009\n{\"x.y_sum\",\"a.b\"=\"c\"} 2 60009\n{\"x.y_count\",\"a.b\"=\"c\"} 1 60009\n{\"é\"} 1 60005\n"),
	[]byte("# TYPE g gauge\ng -0 60005\ng 1e-320 60006\ng +Inf 60007\ng 5 60001\nnothing 1 60005\nx_bucket{le=\"1\"} 1 60005\n"),
}

// Of whatever two senders push, a Prometheus stores the same by protobuf as by text.
func FuzzProtobuf(f *testing.F) {
	for i, one := range sameSeeds {
		f.Add(one, sameSeeds[(i+1)%len(sameSeeds)])
	}
	f.Fuzz(func(t *testing.T, one, two []byte) { requireSame(t, one, two) })
}

// What is said of families is the same, too, where their type is said and they can be put
// together. Families without a type are unknown by protobuf, which always names one.
func TestMetadataIsTheSame(t *testing.T) {
	text, protobuf := requireSame(t, sameSeeds[0], sameSeeds[1], sameSeeds[5], sameSeeds[7])
	delete(protobuf.types, "é")
	assert.Equal(t, model.MetricTypeUnknown, protobuf.types["s_sum"], "it came a second time without the others")
	delete(protobuf.types, "s_sum")
	assert.Equal(t, text.types, protobuf.types)
	for name, help := range text.helps {
		assert.Equal(t, help, protobuf.helps[name])
	}
}

// A Prometheus that converts histograms has each of their points by protobuf. By text it has
// not, of a histogram that comes twice.
func TestConvertedHistograms(t *testing.T) {
	const key = `{__name__="h", a="b"}`
	convert := textparse.ParserOptions{ConvertClassicHistogramsToNHCB: true}
	hub := pushed(t, sameSeeds[1])
	contentType, body := answered(t, hub, likesProtobuf)
	protobuf, err := tell(contentType, body, convert)
	require.NoError(t, err)
	assert.Equal(t, map[string]int{key: 2}, protobuf.histograms)
	assert.Empty(t, protobuf.points)

	contentType, body = answered(t, hub, likesText)
	text, err := tell(contentType, body, convert)
	require.NoError(t, err)
	assert.Less(t, text.histograms[key], 2, "if it has both, the README's advice is old")
}
