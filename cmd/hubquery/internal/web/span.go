package web

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// mostQueryBytes are those of an expression that a span shows.
const mostQueryBytes = 1 << 10

// traced makes a request to the API a span, of the trace that the request names or of a new one. What is asked of the
// shards for it is below it.
func (*doors) traced(path string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := otel.Tracer("github.com/hubring/hubring/cmd/hubquery/internal/web").Start(ctx, r.Method+" /api/v1/"+path, trace.WithSpanKind(trace.SpanKindServer))
		if span.IsRecording() {
			defer outcome(ctx, span)
			for _, name := range []string{"query", "start", "end", "step", "time"} {
				if value := r.Form.Get(name); value != "" {
					span.SetAttributes(attribute.String("hubquery."+name, strings.ToValidUTF8(value[:min(len(value), mostQueryBytes)], "")))
				}
			}
		}
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// outcome ends a span with what became of its request.
func outcome(ctx context.Context, span trace.Span) {
	if rec, ok := ctx.Value(recorderKey{}).(*recorder); ok {
		span.SetAttributes(attribute.Int("http.response.status_code", rec.code))
		if rec.reason != "" || rec.broken {
			span.SetStatus(codes.Error, rec.reason)
		}
	}
	span.End()
}
