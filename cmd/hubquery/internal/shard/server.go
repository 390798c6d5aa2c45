package shard

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage/remote"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.yaml.in/yaml/v3"
)

const (
	mostAnswerBytes = 4 << 30
	mostErrorBytes  = 64 << 10
	mostFrameBytes  = 64 << 20
	mostConfigBytes = 64 << 20
	readTime        = time.Hour // the query's own timeout ends it
)

// UnavailableError says that a server gave no answer, or none that can be used. It is nobody's
// fault who asked.
type UnavailableError struct {
	Server string
	Err    error
}

func (e *UnavailableError) Error() string { return e.Server + ": " + e.Err.Error() }

// Unwrap returns what went wrong.
func (e *UnavailableError) Unwrap() error { return e.Err }

// RefusedError is a server's answer that it will not do what it was asked, in its own words.
type RefusedError struct {
	Server, Type, Message string
}

func (e *RefusedError) Error() string { return e.Message + " (" + e.Server + ")" }

// Server is one Prometheus or VictoriaMetrics.
type Server struct {
	url      string
	kind     string
	client   *http.Client
	remote   remote.ReadClient             // of a Prometheus
	external atomic.Pointer[labels.Labels] // what its remote read adds to each series
	down     atomic.Bool                   // it did not answer when it was last asked how it is
}

func newServer(address, kind string, client *http.Client, how config.HTTPClientConfig, silence time.Duration) (*Server, error) {
	s := &Server{url: strings.TrimRight(address, "/"), kind: kind}
	s.client = patient(client, s, silence)
	if kind == VictoriaMetrics {
		return s, nil
	}
	target, err := url.Parse(s.url + "/api/v1/read")
	if err != nil {
		return nil, err
	}
	s.remote, err = remote.NewReadClient("shard", &remote.ClientConfig{
		URL: &config.URL{URL: target}, Timeout: model.Duration(readTime), HTTPClientConfig: how, ChunkedReadLimit: mostFrameBytes,
	}, options()...)
	if reader, ok := s.remote.(*remote.Client); ok {
		reader.Client = patient(reader.Client, s, silence)
	}
	return s, err
}

// URL returns the server's address, without a slash at its end.
func (s *Server) URL() string { return s.url }

// Query are the steps of an expression, in milliseconds since the epoch. An instant has no Step.
type Query struct {
	Expr             string
	Start, End, Step int64
	Lookback         time.Duration // 0: a Prometheus' own
}

// Lookback is a Prometheus' that is told nothing.
const Lookback = 5 * time.Minute

// check returns what is wrong with an answer's times. What follows rests on them.
func (q Query) check(a *answer, kind string) error {
	for _, s := range a.series {
		if a.kind == "vector" && len(s.Floats) != 1 {
			return fmt.Errorf("a series of an instant has %d values", len(s.Floats))
		}
		if a.kind == "vector" && kind == Prometheus && s.Floats[0].T != q.Start {
			return fmt.Errorf("the answer has a value at %s, and was asked for one at %s", seconds(s.Floats[0].T), seconds(q.Start))
		}
		for i, p := range s.Floats {
			switch {
			case i > 0 && p.T <= s.Floats[i-1].T:
				return fmt.Errorf("the answer goes from %s back to %s", seconds(s.Floats[i-1].T), seconds(p.T))
			case q.Step > 0 && (p.T < q.Start || p.T > q.End || (p.T-q.Start)%q.Step != 0):
				return fmt.Errorf("the answer has a value at %s, where it was not asked for one", seconds(p.T))
			}
		}
	}
	return nil
}

// Query asks for the values of an expression.
func (s *Server) Query(ctx context.Context, q Query, budget *Budget) ([]promql.Series, []string, error) {
	form, path := url.Values{"query": {q.Expr}}, "/api/v1/query"
	if q.Step > 0 {
		path = "/api/v1/query_range"
		form.Set("start", seconds(q.Start))
		form.Set("end", seconds(q.End))
		form.Set("step", strconv.FormatInt(q.Step, 10)+"ms") // 33.51 would be cut to 33.509 s
	} else {
		form.Set("time", seconds(q.Start))
	}
	if deadline, ok := ctx.Deadline(); ok {
		form.Set("timeout", seconds(max(time.Until(deadline).Milliseconds(), 1)))
	}
	if q.Lookback > 0 {
		form.Set("lookback_delta", seconds(q.Lookback.Milliseconds()))
	}
	if s.kind == VictoriaMetrics {
		form.Set("max_lookback", cmp.Or(q.Lookback, Lookback).String()) // by itself it looks back over each series' own interval
		form.Set("nocache", "1")                                        // its cache rounds the steps' times
	}
	body, err := s.Post(ctx, path, form)
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	a, err := read(body, budget)
	if err == nil && a.status == "success" {
		err = errors.Join(q.check(a, s.kind), drain(body))
	}
	switch {
	case errors.Is(err, ErrHistograms), isTooMany(err):
		return nil, nil, err
	case err != nil:
		return nil, nil, s.unavailable(ctx, err)
	case a.status != "success":
		return nil, nil, s.unavailable(ctx, fmt.Errorf("status %.20q with 200: %.200q", a.status, a.message))
	}
	if a.kind == "vector" {
		for _, series := range a.series { // VictoriaMetrics may have a time of its own
			series.Floats[0].T = q.Start
		}
	}
	return a.series, a.warnings, nil
}

// drain reads the end of a body that has been read as far as it says something. If it has been cut off, it says so; if
// not, the connection can be used again.
func drain(body io.Reader) error {
	_, err := io.Copy(io.Discard, io.LimitReader(body, mostErrorBytes))
	return err
}

func isTooMany(err error) bool {
	var tooMany promql.ErrTooManySamples
	return errors.As(err, &tooMany)
}

// Post asks with a form, Get with a query. What the body holds is of an answer of 200;
// everything else is an error.
func (s *Server) Post(ctx context.Context, path string, form url.Values) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+path, strings.NewReader(s.since(path, form).Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return s.do(req)
}

// Get asks with a query.
func (s *Server) Get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	target := s.url + path
	if query = s.since(path, query); len(query) > 0 {
		target += "?" + query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, err
	}
	return s.do(req)
}

// since gives a list of names a beginning where it has none: a Prometheus has all then, a VictoriaMetrics those
// of today. It takes 0 for none, too.
func (s *Server) since(path string, query url.Values) url.Values {
	if s.kind != VictoriaMetrics || query.Has("start") || (path != "/api/v1/series" && !strings.HasPrefix(path, "/api/v1/label")) {
		return query
	}
	query = maps.Clone(query)
	if query == nil {
		query = url.Values{}
	}
	query.Set("start", "1")
	return query
}

// do sends a request, as a span of its trace that lasts until what it returns is closed.
func (s *Server) do(req *http.Request) (io.ReadCloser, error) {
	req, span := s.traced(req)
	body, err := s.send(req)
	if err != nil {
		failed(span, err)
		return nil, err
	}
	return limited{io.LimitReader(body, mostAnswerBytes), body, span}, nil
}

func (s *Server) send(req *http.Request) (io.ReadCloser, error) {
	// Compressing costs a server more than it saves between machines of one cluster.
	req.Header.Set("Accept-Encoding", "identity")
	propagation.TraceContext{}.Inject(req.Context(), propagation.HeaderCarrier(req.Header))
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, s.unavailable(req.Context(), err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, mostErrorBytes))
	var refusal struct{ Error string }
	if json.Unmarshal(said, &refusal) != nil || refusal.Error == "" {
		text := fmt.Errorf("%s: %.200q", resp.Status, said)
		if to := resp.Header.Get("Location"); to != "" {
			text = fmt.Errorf("%s to %.200q: give the address where it leads", resp.Status, to)
		}
		return nil, s.unavailable(req.Context(), text)
	}
	// Only these two are about what was asked, and would be so on any server.
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return nil, &RefusedError{Server: s.url, Type: "bad_data", Message: refusal.Error}
	case http.StatusUnprocessableEntity:
		return nil, &RefusedError{Server: s.url, Type: "execution", Message: refusal.Error}
	}
	return nil, s.unavailable(req.Context(), fmt.Errorf("%s: %s", resp.Status, refusal.Error))
}

// noDetour follows redirects as http does, but those that would turn a query into a request without one.
func noDetour(req *http.Request, via []*http.Request) error {
	if req.Method != via[0].Method {
		return http.ErrUseLastResponse
	}
	if len(via) >= 5 {
		return errors.New("redirected too often")
	}
	return nil
}

// limited is as much of an answer as is read. It ends the span of its request.
type limited struct {
	io.Reader
	body io.Closer
	span trace.Span
}

func (l limited) Close() error {
	l.span.End()
	return l.body.Close()
}

// unavailable wraps err, unless it is that the query was given up.
func (s *Server) unavailable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var where *url.Error
	if errors.As(err, &where) { // it would say the address again
		err = where.Err
	}
	return &UnavailableError{Server: s.url, Err: err}
}

// learn asks whether the server answers, and for its external labels.
func (s *Server) learn(ctx context.Context) error {
	err := s.ask(ctx)
	s.down.Store(err != nil)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", s.url, err)
	}
	return err
}

func (s *Server) ask(ctx context.Context) error {
	if s.kind == VictoriaMetrics {
		body, err := s.Get(ctx, "/health", nil)
		if err == nil {
			body.Close()
		}
		return err
	}
	body, err := s.Get(ctx, "/api/v1/status/config", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	var status struct {
		Status string
		Data   struct{ YAML string }
	}
	if err := json.NewDecoder(io.LimitReader(body, mostConfigBytes)).Decode(&status); err != nil {
		return s.unavailable(ctx, fmt.Errorf("its configuration: %w", err))
	}
	if status.Status != "success" {
		return s.unavailable(ctx, errors.New("what it says of its configuration is no answer of a Prometheus"))
	}
	var cfg struct {
		Global struct {
			External map[string]string `yaml:"external_labels"`
		}
	}
	if err := yaml.Unmarshal([]byte(status.Data.YAML), &cfg); err != nil {
		return s.unavailable(ctx, fmt.Errorf("its configuration: %w", err))
	}
	external := labels.FromMap(cfg.Global.External)
	s.external.Store(&external)
	return nil
}

// seconds writes milliseconds as the API takes times and steps, exactly.
func seconds(ms int64) string {
	sign := ""
	if ms < 0 {
		sign, ms = "-", -ms
	}
	whole, part := ms/1000, ms%1000
	if part == 0 {
		return sign + strconv.FormatInt(whole, 10)
	}
	return fmt.Sprintf("%s%d.%03d", sign, whole, part)
}
