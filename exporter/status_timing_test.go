package exporter

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkStatus is one look at an exporter with a thousand hubs.
//
//	go test ./exporter -run '^$' -bench Status -benchmem
func BenchmarkStatus(b *testing.B) {
	e, err := New(Config{Hubs: newFleet(1000).hubs()})
	require.NoError(b, err)
	handler := e.Handler()
	for _, format := range []string{"html", "json"} {
		target := "/?gateway=gw&format=" + format
		b.Run(format, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
				require.Equal(b, http.StatusOK, w.Code)
			}
		})
	}
}
