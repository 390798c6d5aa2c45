// Package web is hubquery's doors: Prometheus' HTTP API, so that Grafana, rulers and people ask it as they
// ask a Prometheus.
//
// What evaluates PromQL goes through Prometheus' own handlers (prometheus/web/api/v1) to the engine.
// Lists of names and of series are put together from what the shards say (lists.go, series.go, status.go).
package web

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/route"
	"github.com/prometheus/common/version"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/gate"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// Config is what the doors lead to.
type Config struct {
	Engine     *engine.Engine
	Shards     *shard.Set
	Gate       *gate.Gate
	Parser     parser.Parser
	Partial    bool // answer without a shard that does not answer
	Timeout    time.Duration
	Lookback   time.Duration
	MaxSamples int
	MaxSeries  int
	Flags      map[string]string
	CORSOrigin *regexp.Regexp
	Ready      func() bool
	Registry   *prometheus.Registry
	Logger     *slog.Logger
}

type doors struct {
	Config
	api     http.Handler // Prometheus' own
	queries *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	began   time.Time
}

// New returns the handler of all doors.
func New(cfg Config) http.Handler {
	d := &doors{
		Config: cfg, began: time.Now(),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubquery_queries_total", Help: "Requests to the query API, by path and status.",
		}, []string{"path", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hubquery_query_duration_seconds", Help: "How long requests to the query API take, without waiting for others to end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"path"}),
	}
	cfg.Registry.MustRegister(d.queries, d.seconds)
	d.api = d.prometheus()
	mux := http.NewServeMux()
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hubquery is healthy\n")) })
	mux.HandleFunc("/-/ready", d.ready)
	mux.Handle("/metrics", promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{Registry: cfg.Registry}))
	for _, path := range []string{"query", "query_range", "query_exemplars", "labels", "label/{name}/values", "read"} {
		mux.Handle("/api/v1/"+path, d.counted(path, d.api))
	}
	for _, path := range []string{"format_query", "parse_query", "status/config", "status/flags", "status/buildinfo", "features"} {
		mux.Handle("/api/v1/"+path, d.api)
	}
	mux.Handle("/api/v1/series", d.counted("series", http.HandlerFunc(d.series)))
	mux.Handle("/api/v1/metadata", d.counted("metadata", http.HandlerFunc(d.metadata)))
	mux.Handle("/api/v1/rules", d.counted("rules", http.HandlerFunc(d.rules)))
	mux.Handle("/api/v1/alerts", d.counted("alerts", http.HandlerFunc(d.alerts)))
	mux.Handle("/api/v1/targets", d.counted("targets", http.HandlerFunc(d.targets)))
	mux.Handle("/api/v1/status/tsdb", d.counted("status/tsdb", http.HandlerFunc(d.tsdb)))
	mux.HandleFunc("/api/v1/status/runtimeinfo", d.runtime)
	mux.HandleFunc("/api/v1/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "hubquery has no "+r.URL.Path+": it answers queries and lists, see its --help")
	})
	mux.HandleFunc("/{$}", d.page)
	return mux
}

// prometheus is Prometheus' API over the engine, of which only some paths are used.
func (d *doors) prometheus() http.Handler {
	lists := &lists{doors: d}
	api := v1.NewAPI(
		d.Engine, lists, nil, nil, lists,
		nil, nil, nil,
		func() config.Config { return config.Config{} }, d.Flags, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, d.Logger, nil,
		d.MaxSamples, 10, 1<<20, false, d.CORSOrigin,
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil },
		&v1.PrometheusVersion{
			Version: prometheusVersion, Revision: version.Revision, Branch: version.Branch,
			BuildUser: version.BuildUser, BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		},
		nil, nil, d.Registry, prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, d.Lookback, false, false, status, nil, v1.OpenAPIOptions{}, d.Parser,
	)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	return router
}

// prometheusVersion is that of the API and of PromQL here; Grafana asks for it to know what it may use.
const prometheusVersion = "3.15.0"

// status says what is nobody's fault who asked, and what a shard thinks of an expression. The API's type of
// error numbers has no name outside it.
func status[T any](_ T, err error) (int, bool) {
	var storage promql.ErrStorage // by which the API knows it, and which hides what is in it
	if errors.As(err, &storage) {
		err = storage.Err
	}
	var unavailable *shard.UnavailableError
	if errors.As(err, &unavailable) {
		return http.StatusServiceUnavailable, true
	}
	var refused *shard.RefusedError
	if errors.As(err, &refused) && refused.Type == "bad_data" {
		return http.StatusBadRequest, true
	}
	return 0, false
}

func (d *doors) ready(w http.ResponseWriter, _ *http.Request) {
	if !d.Ready() {
		http.Error(w, "hubquery is not ready: no shard has answered yet, or it stops", http.StatusServiceUnavailable)
		return
	}
	_, _ = w.Write([]byte("hubquery is ready\n"))
}

// counted lets a request through the gate, and counts it.
func (d *doors) counted(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostRequestBytes)
		rec := &recorder{ResponseWriter: w, code: http.StatusOK}
		defer func() { d.queries.WithLabelValues(path, strconv.Itoa(rec.code)).Inc() }()
		ctx, cancel := context.WithTimeout(r.Context(), d.Timeout)
		defer cancel()
		leave, err := d.Gate.Enter(ctx, asker(r))
		switch {
		case errors.Is(err, gate.ErrFull):
			rec.Header().Set("Retry-After", "1")
			fail(rec, http.StatusTooManyRequests, "too_many_queries", err.Error())
			return
		case err != nil:
			fail(rec, http.StatusServiceUnavailable, "timeout", "the query waited for others until its time was over")
			return
		}
		defer leave()
		partial, err := d.partial(r)
		if err != nil {
			fail(rec, http.StatusBadRequest, "bad_data", err.Error())
			return
		}
		began := time.Now()
		next.ServeHTTP(rec, r.WithContext(engine.WithPartial(ctx, partial)))
		d.seconds.WithLabelValues(path).Observe(time.Since(began).Seconds())
	})
}

const mostRequestBytes = 10 << 20

// partial reads Thanos' parameter.
func (d *doors) partial(r *http.Request) (bool, error) {
	value := r.URL.Query().Get("partial_response")
	if value == "" && r.Method == http.MethodPost && strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		if err := r.ParseForm(); err != nil {
			return false, err
		}
		value = r.Form.Get("partial_response")
	}
	if value == "" {
		return d.Partial, nil
	}
	partial, err := strconv.ParseBool(value)
	if err != nil {
		return false, errors.New("partial_response is neither true nor false")
	}
	return partial, nil
}

// asker is whose share of the room a request takes: a user's, or a machine's.
func asker(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok {
		return "user " + user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// recorder remembers a response's status.
type recorder struct {
	http.ResponseWriter
	code int
}

func (r *recorder) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// reply answers as Prometheus does.
func reply(w http.ResponseWriter, data any, warnings []string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // whoever asked is gone
		Status   string   `json:"status"`
		Data     any      `json:"data"`
		Warnings []string `json:"warnings,omitempty"`
	}{"success", data, warnings})
}

func fail(w http.ResponseWriter, code int, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Hubring-Reason", kind)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": message})
}

// failWith answers with an error of a shard.
func failWith(w http.ResponseWriter, err error) {
	var unavailable *shard.UnavailableError
	var refused *shard.RefusedError
	switch {
	case errors.As(err, &unavailable):
		fail(w, http.StatusServiceUnavailable, "internal", err.Error())
	case errors.As(err, &refused):
		fail(w, http.StatusBadRequest, refused.Type, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		fail(w, http.StatusServiceUnavailable, "timeout", "the query timed out")
	case errors.Is(err, context.Canceled):
		fail(w, 499, "canceled", "the query was canceled")
	default:
		fail(w, http.StatusUnprocessableEntity, "execution", err.Error())
	}
}
