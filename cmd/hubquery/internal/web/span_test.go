package web

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// A query belongs to a trace of whoever asked, and so does what is asked of the shards.
func TestTraces(t *testing.T) {
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	h := newHouse(t, 2, nil).fill()
	got := make(chan string, 100)
	h.shards[1].Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		got <- r.Header.Get("traceparent")
		return false
	})
	ask(t, http.MethodGet, h.url+"/api/v1/query?query=sum(load)", nil, "traceparent", trace)
	ask(t, http.MethodGet, h.url+"/api/v1/series?match[]=load", nil, "traceparent", trace)
	require.Len(t, got, 2)
	for len(got) > 0 {
		assert.Equal(t, trace, <-got)
	}
}

// With a collector a query is a span of that trace, and each request to a shard is one below it.
func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSpanProcessor(spans)))
	defer otel.SetTracerProvider(before)

	const asker = "b7ad6b7169203331"
	h := newHouse(t, 2, nil).fill()
	asked := make(chan string, 100)
	for _, s := range h.shards {
		s.Intercept(func(_ http.ResponseWriter, r *http.Request) bool {
			asked <- r.Header.Get("traceparent")
			return false
		})
	}
	ask(t, http.MethodGet, h.url+"/api/v1/query?query=sum(load)", nil, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-"+asker+"-01")
	ask(t, http.MethodGet, h.url+"/api/v1/query?query=sum(", nil)

	var query, mistake trace.ReadOnlySpan
	below := map[string]trace.ReadOnlySpan{} // what is asked of the shards, by its own number
	for _, s := range spans.Ended() {
		switch {
		case s.Name() == "GET /api/v1/query" && s.Parent().IsValid():
			query = s
		case s.Name() == "GET /api/v1/query":
			mistake = s
		case s.Name() == "POST /api/v1/query":
			below[s.SpanContext().SpanID().String()] = s
		}
	}
	require.NotNil(t, query)
	assert.Equal(t, asker, query.Parent().SpanID().String())
	assert.Contains(t, query.Attributes(), attribute.String("hubquery.query", "sum(load)"))
	assert.Contains(t, query.Attributes(), attribute.Int("http.response.status_code", http.StatusOK))
	require.Len(t, below, 2, "one for each shard")
	for range below {
		parts := strings.Split(<-asked, "-")
		require.Contains(t, below, parts[2], "the shard goes on below the request to it")
		assert.Equal(t, query.SpanContext().TraceID(), below[parts[2]].SpanContext().TraceID())
	}
	require.NotNil(t, mistake)
	assert.Equal(t, trace.Status{Code: codes.Error, Description: "bad_data"}, mistake.Status())
}
