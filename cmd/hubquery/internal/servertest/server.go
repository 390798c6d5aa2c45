// Package servertest is Prometheus' query API over a database of its own, from Prometheus' own
// packages, for tests.
package servertest

import (
	"context"
	"math"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	v1 "github.com/prometheus/prometheus/web/api/v1"
	"github.com/stretchr/testify/require"
)

// Server is one Prometheus.
type Server struct {
	URL string
	// Asked counts the requests by path.
	Asked chan string

	t      testing.TB
	db     *tsdb.DB
	before atomic.Pointer[Hook]
}

// Hook sees a request and says whether it has answered it.
type Hook func(http.ResponseWriter, *http.Request) bool

// Intercept has a hook see each request from here on; nil for none.
func (s *Server) Intercept(hook Hook) {
	if hook == nil {
		s.before.Store(nil)
		return
	}
	s.before.Store(&hook)
}

// New starts a server whose external labels are these.
func New(t testing.TB, external map[string]string) *Server {
	t.Helper()
	opts := tsdb.DefaultOptions()
	opts.MinBlockDuration, opts.MaxBlockDuration = (1000 * time.Hour).Milliseconds(), (1000 * time.Hour).Milliseconds()
	opts.OutOfOrderTimeWindow = (1000 * time.Hour).Milliseconds()
	db, err := tsdb.Open(t.TempDir(), promslog.NewNopLogger(), nil, opts, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	promqlParser := parser.NewParser(parser.Options{EnableExperimentalFunctions: true})
	engine := promql.NewEngine(promql.EngineOpts{
		MaxSamples: 50_000_000, Timeout: time.Minute, EnableAtModifier: true, EnableNegativeOffset: true, Parser: promqlParser,
		NoStepSubqueryIntervalFn: func(int64) int64 { return time.Minute.Milliseconds() },
	})
	cfg := config.DefaultConfig
	cfg.GlobalConfig.ExternalLabels = labels.FromMap(external)
	api := v1.NewAPI(engine, db, nil, nil, db, nil, nil, nil,
		func() config.Config { return cfg }, nil, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, promslog.NewNopLogger(), nil, 50_000_000, 10, 1<<20, false, nil,
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil }, &v1.PrometheusVersion{},
		nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, 5*time.Minute, false, false, nil, nil, v1.OpenAPIOptions{}, promqlParser)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	s := &Server{t: t, db: db, Asked: make(chan string, 10_000)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.Asked <- r.URL.Path:
		default:
		}
		if before := s.before.Load(); before != nil && (*before)(w, r) {
			return
		}
		router.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Sample is a value at a time in milliseconds.
type Sample struct {
	T int64
	V float64
}

// Stale is the value of a stale marker.
var Stale = math.Float64frombits(value.StaleNaN)

// Add stores samples of a series, which is given as names and values.
func (s *Server) Add(samples []Sample, series ...string) {
	s.t.Helper()
	a := s.db.Appender(context.Background())
	for _, sample := range samples {
		_, err := a.Append(0, labels.FromStrings(series...), sample.T, sample.V)
		require.NoError(s.t, err)
	}
	require.NoError(s.t, a.Commit())
}

// AddHistogram stores a native histogram of a series.
func (s *Server) AddHistogram(at int64, h *histogram.FloatHistogram, series ...string) {
	s.t.Helper()
	a := s.db.Appender(context.Background())
	_, err := a.AppendHistogram(0, labels.FromStrings(series...), at, nil, h)
	require.NoError(s.t, err)
	require.NoError(s.t, a.Commit())
}
