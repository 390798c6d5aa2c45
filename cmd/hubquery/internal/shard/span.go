package shard

import (
	"net/http"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/hubring/hubring/cmd/hubquery/internal/shard"

// traced is a request as a span of the trace that its context belongs to, if it does: what hubquery asks for itself
// is none's.
func (s *Server) traced(req *http.Request) (*http.Request, trace.Span) {
	ctx := req.Context()
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return req, trace.SpanFromContext(ctx)
	}
	ctx, span := otel.Tracer(scope).Start(ctx, req.Method+" "+req.URL.Path, trace.WithSpanKind(trace.SpanKindClient))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("url.full", s.url+req.URL.Path), attribute.String("server.address", req.URL.Host))
	}
	return req.WithContext(ctx), span
}

// failed ends the span of a request that has no answer.
func failed(span trace.Span, err error) {
	span.SetStatus(codes.Error, err.Error())
	span.End()
}
