package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"

	"github.com/hubring/hubring/cmd/hubquery/internal/engine"
	"github.com/hubring/hubring/cmd/hubquery/internal/raw"
	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

const (
	shardUnavailable = "shard_unavailable"
	statusClientGone = 499 // as Prometheus has it
)

// reason says in a word what an error is, for the header and the counter; empty if its status says all.
func reason(err error) string {
	var unavailable *shard.UnavailableError
	var refused *shard.RefusedError
	var samples promql.ErrTooManySamples
	var timeout promql.ErrQueryTimeout
	var canceled promql.ErrQueryCanceled
	var inside promql.ErrStorage
	if errors.As(err, &inside) { // which cannot be unwrapped
		err = inside.Err
	}
	switch {
	case errors.As(err, &unavailable):
		return shardUnavailable
	case errors.As(err, &refused):
		return refused.Type
	case errors.As(err, &samples):
		return "too_many_samples"
	case errors.Is(err, raw.ErrTooManySeries):
		return "too_many_series"
	case errors.As(err, &timeout), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.As(err, &canceled), errors.Is(err, context.Canceled):
		return "canceled"
	}
	return ""
}

// ofStatus are reasons where there is no better one.
var ofStatus = map[int]string{
	http.StatusBadRequest: "bad_data", http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed", http.StatusNotAcceptable: "not_acceptable",
	http.StatusUnprocessableEntity: "execution", statusClientGone: "canceled", http.StatusServiceUnavailable: "timeout",
}

// recorder remembers what became of a request, and says why where it was refused.
type recorder struct {
	http.ResponseWriter
	code   int // 0: nothing was written yet
	reason string
	broken bool
}

type recorderKey struct{}

// note remembers the error that a request will be answered with: Prometheus' handlers do not say in a
// header what it was.
func note(ctx context.Context, err error) {
	if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok && err != nil {
		rec.reason = reason(err)
	}
}

// abort breaks an answer off that has begun: half of one that ends cleanly would be believed.
func abort(ctx context.Context, err error) {
	if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		note(ctx, err)
		rec.broken = true
	}
	panic(http.ErrAbortHandler)
}

func (r *recorder) WriteHeader(code int) {
	if r.code != 0 {
		if code >= http.StatusBadRequest { // Prometheus' remote read goes on with a message
			r.broken = true
			panic(http.ErrAbortHandler)
		}
		return
	}
	if code < http.StatusBadRequest {
		r.reason = ""
	} else {
		if given := r.Header().Get("Hubring-Reason"); given != "" {
			r.reason = given
		}
		if r.reason == shardUnavailable && code == http.StatusInternalServerError {
			code = http.StatusServiceUnavailable
		}
		if r.reason == "" {
			r.reason = ofStatus[code]
		}
		if r.reason == "" {
			r.reason = "internal"
		}
		r.Header().Set("Hubring-Reason", r.reason)
	}
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.code == 0 {
		r.WriteHeader(http.StatusOK)
	}
	return r.ResponseWriter.Write(p)
}

// Flush implements http.Flusher, which remote read needs.
func (r *recorder) Flush() { _ = http.NewResponseController(r.ResponseWriter).Flush() }

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) outcome() string {
	switch {
	case r.broken:
		return "aborted"
	case r.code == 0:
		return strconv.Itoa(http.StatusOK)
	}
	return strconv.Itoa(r.code)
}

// noting is the engine, whose errors are noted.
type noting struct{ engine *engine.Engine }

// NewInstantQuery implements promql.QueryEngine.
func (n noting) NewInstantQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, at time.Time) (promql.Query, error) {
	query, err := n.engine.NewInstantQuery(ctx, q, opts, text, at)
	return noted{query}, err
}

// NewRangeQuery implements promql.QueryEngine.
func (n noting) NewRangeQuery(ctx context.Context, q storage.Queryable, opts promql.QueryOpts, text string, start, end time.Time, step time.Duration) (promql.Query, error) {
	query, err := n.engine.NewRangeQuery(ctx, q, opts, text, start, end, step)
	return noted{query}, err
}

type noted struct{ promql.Query }

// Exec implements promql.Query.
func (n noted) Exec(ctx context.Context) *promql.Result {
	r := n.Query.Exec(ctx)
	note(ctx, r.Err)
	// Whoever keeps answers, as Thanos' query frontend does, is not to keep one that lacks a part.
	if warnings, _ := r.Warnings.AsStrings("", 1, 1); len(warnings) > 0 {
		if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok {
			rec.Header().Set("Cache-Control", "no-store")
		}
	}
	return r
}

// fail answers with an error: its status, the reason in a word, the type that Prometheus has for it, and a sentence.
func fail(w http.ResponseWriter, code int, reason, kind, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Hubring-Reason", reason)
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]string{"status": "error", "errorType": kind, "error": message})
}

// failWith answers with an error of a shard.
func failWith(w http.ResponseWriter, err error) {
	switch why := reason(err); why {
	case shardUnavailable:
		fail(w, http.StatusServiceUnavailable, why, "internal", err.Error())
	case "bad_data":
		fail(w, http.StatusBadRequest, why, why, err.Error())
	case "timeout":
		fail(w, http.StatusServiceUnavailable, why, why, "the query timed out")
	case "canceled":
		fail(w, statusClientGone, why, why, "the query was canceled")
	case "":
		fail(w, http.StatusUnprocessableEntity, "execution", "execution", err.Error())
	default:
		fail(w, http.StatusUnprocessableEntity, why, "execution", err.Error())
	}
}
