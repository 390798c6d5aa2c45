package web

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// aScrape is a request of the only scraper.
func aScrape() *http.Request { return httptest.NewRequest(http.MethodGet, "/metrics?drain=1", nil) }

// push takes in a text.
func (d *doors) push(text string) {
	d.t.Helper()
	require.Equal(d.t, http.StatusOK, d.do("POST", "/metrics", text, "").Code)
}

// at is a line of a push.
func at(series string, when time.Time) string {
	return fmt.Sprintf("%s 1 %d\n", series, when.UnixMilli())
}

// manyLines are a push of so many samples of a series.
func manyLines(series string, samples int) string {
	var b strings.Builder
	for now, i := time.Now(), 0; i < samples; i++ {
		b.WriteString(at(series, now.Add(time.Duration(i-samples)*time.Millisecond)))
	}
	return b.String()
}

func TestScrapersThatKeepOne(t *testing.T) {
	for _, agent := range []string{
		"Prometheus/2.52.0", "Prometheus/2.53.0", "Prometheus/2.53.2", "Prometheus/2.54.0", "Prometheus/2.54.0-rc.1",
		"otelcol/0.165.0", "otelcol-contrib/0.165.0 (linux/amd64)",
	} {
		assert.True(t, keepsOne(agent), agent)
	}
	for _, agent := range []string{
		"Prometheus/2.51.2", "Prometheus/2.53.3", "Prometheus/2.54.1", "Prometheus/3.15.0", "Prometheus/2.520.0", "curl/8.0", "vm_promscrape", "",
	} {
		assert.False(t, keepsOne(agent), agent)
	}
}

// A scrape has its scraper's time, one that names none has a minute, and none has for ever.
func TestTimeOfAScrape(t *testing.T) {
	d := newDoors(t)
	f := func(want time.Duration, path, header string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, path, nil)
		if header != "" {
			r.Header.Set(timeoutHeader, header)
		}
		q, err := d.parse(r)
		require.NoError(t, err)
		assert.Equal(t, want, q.timeout)
	}
	f(lookDeadline, "/metrics", "")
	f(defaultDeadline, "/metrics?drain=1", "")
	f(10*time.Second, "/metrics", "10")
	f(2500*time.Millisecond, "/metrics?drain=1", "2.5")
	f(maxDeadline, "/metrics", "1e8")
	f(defaultDeadline, "/metrics", "1e99")
	f(defaultDeadline, "/metrics", "-1")
	f(defaultDeadline, "/metrics", "soon")
}
