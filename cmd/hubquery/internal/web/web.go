// Package web is hubquery's doors: Prometheus' HTTP API, so that Grafana, rulers and people ask it as they
// ask a Prometheus.
//
// What evaluates PromQL goes through Prometheus' own handlers (prometheus/web/api/v1) to the engine.
// Lists of names and of series are put together from what the shards say (lists.go, series.go, status.go).
package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/route"
	"github.com/prometheus/common/version"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/features"
	"github.com/prometheus/prometheus/util/httputil"
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
	Label      string // that names the gateway
	Users      bool   // that requests name are known to be theirs, by their passwords
	Flags      map[string]string
	CORSOrigin *regexp.Regexp // whose pages may ask; nil: none
	Ready      func() bool
	Registry   *prometheus.Registry
	Logger     *slog.Logger
}

type doors struct {
	Config
	api     http.Handler // Prometheus' own
	queries *prometheus.CounterVec
	refused *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	began   time.Time
}

// nobody's pages.
var noOrigin = regexp.MustCompile("^$")

// New returns the handler of all doors.
func New(cfg Config) http.Handler {
	if cfg.CORSOrigin == nil {
		cfg.CORSOrigin = noOrigin
	}
	d := &doors{
		Config: cfg, began: time.Now(),
		queries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubquery_queries_total", Help: "Requests to the API, by path and status; aborted: an answer that was broken off, since a shard broke off its own.",
		}, []string{"path", "code"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hubquery_refused_queries_total", Help: "Requests to the API that were answered with an error, by reason (header Hubring-Reason).",
		}, []string{"reason"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "hubquery_query_duration_seconds", Help: "How long requests to the query API take, without waiting for others to end.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"path"}),
	}
	cfg.Registry.MustRegister(d.queries, d.refused, d.seconds)
	d.api = d.prometheus()
	mux := http.NewServeMux()
	mux.HandleFunc("/-/healthy", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hubquery is healthy\n")) })
	mux.HandleFunc("/-/ready", d.ready)
	mux.Handle("/metrics", promhttp.HandlerFor(cfg.Registry, promhttp.HandlerOpts{Registry: cfg.Registry}))
	mux.HandleFunc("/{$}", d.page)
	handle := func(path string, inner http.Handler) {
		mux.Handle("/api/v1/"+path, d.counted(path, d.bounded(inner)))
	}
	api := compress(d.api)
	for _, path := range []string{"query", "query_range", "labels", "label/{name}/values"} {
		handle(path, d.gated(path, api))
	}
	handle("read", d.gated("read", d.api)) // which is snappy
	for path, own := range map[string]http.HandlerFunc{
		"query_exemplars": d.exemplars, "metadata": d.metadata, "rules": d.rules, "alerts": d.alerts, "targets": d.targets, "status/tsdb": d.tsdb,
	} {
		handle(path, d.gated(path, compress(own)))
	}
	handle("series", d.gated("series", compress(http.HandlerFunc(d.series))))
	for _, path := range []string{"format_query", "parse_query", "status/config", "status/flags", "status/buildinfo", "features"} {
		handle(path, api)
	}
	handle("status/runtimeinfo", http.HandlerFunc(d.runtime))
	mux.Handle("/api/v1/", d.counted("other", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "not_found", fmt.Sprintf("hubquery has no %.200q: it answers queries, and lists of series and names", r.URL.Path))
	})))
	return mux
}

// prometheus is Prometheus' API over the engine, of which only some paths are used.
func (d *doors) prometheus() http.Handler {
	lists := &lists{doors: d}
	what := features.NewRegistry()
	d.Parser.RegisterFeatures(what)
	api := v1.NewAPI(
		noting{d.Engine}, lists, nil, nil, nil,
		nil, nil, nil,
		func() config.Config { return config.Config{} }, d.Flags, v1.GlobalURLOptions{},
		func(f http.HandlerFunc) http.HandlerFunc { return f },
		nil, "", false, false, 0, d.Logger, nil,
		d.MaxSamples, mostReads, 1<<20, false, d.CORSOrigin,
		func() (v1.RuntimeInfo, error) { return v1.RuntimeInfo{}, nil },
		&v1.PrometheusVersion{
			Version: prometheusVersion, Revision: version.Revision, Branch: version.Branch,
			BuildUser: version.BuildUser, BuildDate: version.BuildDate, GoVersion: version.GoVersion,
		},
		nil, nil, d.Registry, prometheus.NewRegistry(), nil,
		false, nil, false, false, false, false, d.Lookback, false, false, status, what, v1.OpenAPIOptions{}, d.Parser,
	)
	router := route.New()
	api.Register(router.WithPrefix("/api/v1"))
	return router
}

// mostReads bounds remote reads at a time, as Prometheus does by default.
const mostReads = 10

// prometheusVersion is that of the API and of PromQL here; Grafana asks for it to know what it may use.
const prometheusVersion = "3.15.0"

// status says what is nobody's fault who asked, and what a shard thinks of an expression. The API's type of
// error numbers has no name outside it.
func status[T any](_ T, err error) (int, bool) {
	switch reason(err) {
	case shardUnavailable, "timeout":
		return http.StatusServiceUnavailable, true
	case "bad_data":
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

// counted counts requests and what became of them, and lets pages of other origins ask.
func (d *doors) counted(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		httputil.SetCORS(w, d.CORSOrigin, r)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		rec := &recorder{ResponseWriter: w}
		defer func() {
			d.queries.WithLabelValues(path, rec.outcome()).Inc()
			if rec.reason != "" {
				d.refused.WithLabelValues(rec.reason).Inc()
			}
		}()
		if r.Method != http.MethodGet && r.Method != http.MethodPost {
			rec.Header().Set("Allow", "GET, OPTIONS, POST")
			fail(rec, http.StatusMethodNotAllowed, "method_not_allowed", "bad_data", "GET and POST are answered here")
			return
		}
		next.ServeHTTP(rec, r.WithContext(context.WithValue(r.Context(), recorderKey{}, rec)))
	})
}

// mostRequestBytes bounds a request: its form, or what a remote read asks for.
const mostRequestBytes = 2 << 20

// bounded reads what a request says, before it takes anybody's room.
func (*doors) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, mostRequestBytes)
		err := r.ParseMultipartForm(mostRequestBytes)
		if errors.Is(err, http.ErrNotMultipart) {
			var content []byte
			content, err = io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(content))
		}
		var large *http.MaxBytesError
		switch {
		case errors.As(err, &large):
			fail(w, http.StatusRequestEntityTooLarge, "body_too_large", "bad_data", fmt.Sprintf("a request has %d bytes at most", large.Limit))
		case err != nil:
			fail(w, http.StatusBadRequest, "bad_data", "bad_data", err.Error())
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// gated lets a request through the gate.
func (d *doors) gated(path string, next http.Handler) http.Handler {
	return d.traced(path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		partial, err := d.partial(r.Form)
		if err != nil {
			fail(w, http.StatusBadRequest, "bad_data", "bad_data", err.Error())
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), d.Timeout)
		defer cancel()
		leave, err := d.Gate.Enter(ctx, d.asker(r))
		switch {
		case errors.Is(err, gate.ErrFull):
			w.Header().Set("Retry-After", "1")
			fail(w, http.StatusTooManyRequests, "too_many_queries", "too_many_queries", err.Error())
			return
		case err != nil && r.Context().Err() != nil:
			fail(w, statusClientGone, "canceled", "canceled", "the query was canceled while it waited for others")
			return
		case err != nil:
			fail(w, http.StatusServiceUnavailable, "timeout", "timeout", "the query waited for others until its time was over")
			return
		}
		defer leave()
		began := time.Now()
		defer func() { d.seconds.WithLabelValues(path).Observe(time.Since(began).Seconds()) }()
		next.ServeHTTP(w, r.WithContext(engine.WithPartial(ctx, partial)))
	}))
}

// partial reads Thanos' parameter.
func (d *doors) partial(form url.Values) (bool, error) {
	value := form.Get("partial_response")
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
func (d *doors) asker(r *http.Request) string {
	if user, _, ok := r.BasicAuth(); ok && d.Users {
		return "user " + user
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// reply answers as Prometheus does.
func reply(w http.ResponseWriter, data any, warnings []string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // whoever asked is gone
		Status   string   `json:"status"`
		Data     any      `json:"data"`
		Warnings []string `json:"warnings,omitempty"`
	}{"success", data, warnings})
}
