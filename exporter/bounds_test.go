package exporter

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/internal/bubble"
)

// A hub's Retry-After is heeded up to a bound, whatever it says.
func TestRetryAfterIsBounded(t *testing.T) {
	for _, value := range []string{"1" + strings.Repeat("0", 30), "Fri, 31 Dec 9999 23:59:59 GMT", "-5", "1e30"} {
		virtual(t, func(t *testing.T) {
			f := newFleet(1)
			f["hub-0"].say(reply{status: 503, header: http.Header{"Retry-After": {value}}})
			h := start(t, f)
			h.submit(1, "a")
			bubble.Pass(time.Minute + 2*DefaultMaxBackoff)
			assert.Equal(t, 1, h.count("samples_delivered_total"), value)
			require.NoError(t, h.stop())
		})
	}
}
