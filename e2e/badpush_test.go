package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// push posts a body to a hub and returns the answer.
func push(ctx context.Context, hub *stack.Hub, body []byte) (status int, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, hub.URL()+"/metrics", bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Content-Type", "text/plain; version=0.0.4")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// mustPush pushes a body that must be accepted.
func mustPush(t *testing.T, hub *stack.Hub, body string) {
	t.Helper()
	status, answer, err := push(t.Context(), hub, []byte(body))
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "pushed %q: %s", body, answer)
}

// A malformed push is answered with the line and the reason, and leaves
// nothing behind. The well-formed ones beside it are scraped.
func TestBadPush(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1})
	hub, server := s.Shards[0].Hub, promapi.New(s.Shards[0].Prometheus)

	pushes := []struct{ name, bad, reason string }{
		{"metric name", `2bad 1`, `metric name`},
		{"label name", `bad{a-b="1"} 1`, `label name`},
		{"unclosed quote", `bad{a="1} 1`, `quote`},
		{"unclosed brace", `bad{a="1" 1`, `label "a"|brace`},
		{"unquoted value", `bad{a=1} 1`, `quotes`},
		{"duplicate label", `bad{a="1",b="2",a="3"} 1`, `label "a".*twice`},
		{"no number", `bad{a="1"} one`, `"one".*not a number`},
		{"no value", `bad{a="1"}`, `no value`},
		{"no timestamp", `bad 1 today`, `"today".*not a timestamp`},
		{"no UTF-8", "bad{a=\"\xff\"} 1", `UTF-8`},
	}
	for i, p := range pushes {
		mustPush(t, hub, fmt.Sprintf("beside{n=\"%d\",part=\"before\"} %d\n", i, i))
		body := fmt.Sprintf("# TYPE refused gauge\nrefused{n=\"%d\"} 1\n%s\nrefused{n=\"%d\",last=\"yes\"} 1\n", i, p.bad, i)
		status, answer, err := push(t.Context(), hub, []byte(body))
		require.NoError(t, err, p.name)
		require.Equal(t, http.StatusBadRequest, status, "%s: %s", p.name, answer)
		require.Regexp(t, `^line 3: .*(`+p.reason+`)`, answer, p.name)
		mustPush(t, hub, fmt.Sprintf("beside{n=\"%d\",part=\"after\"} %d\n", i, i))
	}

	eventually(t, patience, func(ctx context.Context) error {
		v, err := server.Vector(ctx, `beside`)
		if err != nil {
			return err
		}
		if len(v) != 2*len(pushes) {
			return fmt.Errorf("%d of %d well-formed samples are stored: %v", len(v), 2*len(pushes), v)
		}
		for _, sample := range v {
			if string(sample.Metric["n"]) != sample.Value.String() {
				return fmt.Errorf("a wrong value: %v", sample)
			}
		}
		return nil
	})
	refused, err := server.Vector(t.Context(), `{__name__=~"refused|bad"}`)
	require.NoError(t, err)
	require.Empty(t, refused, "a refused push left something behind")
	requireUp(t, server)
}

// Senders that disagree on a family's type, or whose types contradict the
// names, do not spoil each other's samples or the scrape.
func TestConflictingTypes(t *testing.T) {
	s := ownStack(t, stack.Config{Shards: 1})
	hub, server := s.Shards[0].Hub, promapi.New(s.Shards[0].Prometheus)
	for _, body := range conflicting {
		mustPush(t, hub, body)
	}
	eventually(t, patience, func(ctx context.Context) error {
		v, err := server.Vector(ctx, `{sender=~".+"}`)
		if err != nil {
			return err
		}
		if len(v) != conflictingSeries {
			return fmt.Errorf("%d of %d series are stored: %v", len(v), conflictingSeries, v)
		}
		return nil
	})
	requireUp(t, server)
}

// conflicting are pushes of senders that disagree; together they have
// conflictingSeries series.
var conflicting = []string{
	"# HELP requests_total One.\n# TYPE requests_total counter\nrequests_total{sender=\"a\"} 1\n",
	"# HELP requests_total Another.\n# TYPE requests_total gauge\nrequests_total{sender=\"b\"} 2\n",
	"# TYPE delay summary\ndelay{sender=\"a\",quantile=\"0.5\"} 3\ndelay_sum{sender=\"a\"} 4\ndelay_count{sender=\"a\"} 5\n",
	"# TYPE delay histogram\ndelay_bucket{sender=\"b\",le=\"1\"} 6\ndelay_bucket{sender=\"b\",le=\"+Inf\"} 7\ndelay_sum{sender=\"b\"} 8\ndelay_count{sender=\"b\"} 7\n",
	"# TYPE delay gauge\ndelay{sender=\"c\"} 9\n",
	"# TYPE delay_count counter\ndelay_count{sender=\"d\"} 10\n",
	"# TYPE width histogram\nwidth{sender=\"e\"} 11\nwidth_bucket{sender=\"e\",le=\"wide\"} 12\nwidth_bucket{sender=\"f\"} 13\n",
}

const conflictingSeries = 2 + 3 + 4 + 1 + 1 + 3

// requireUp requires that every scrape so far was good, and that there were
// some: a scrape that fails sets up to 0 for good.
func requireUp(t *testing.T, server *promapi.Client) {
	t.Helper()
	requireEachUp(t, server, 1)
}

// scrapeTimeout is that of every server here.
const scrapeTimeout = 1.0 // seconds

// requireEachUp is requireUp for a server with so many targets. Scrapes for
// which a busy machine left no time are not counted: one took all of its
// timeout, and those behind it are refused while the hub is still at it.
func requireEachUp(t *testing.T, server *promapi.Client, targets int) {
	t.Helper()
	took, err := server.Matrix(t.Context(), `scrape_duration_seconds{job="edgehub"}[10m]`)
	require.NoError(t, err)
	late := map[string]bool{}
	scrape := func(m model.Metric, at model.Time) string { return fmt.Sprint(m["instance"], " ", at) }
	for _, target := range took {
		for _, pair := range target.Values {
			late[scrape(target.Metric, pair.Timestamp)] = pair.Value >= scrapeTimeout
		}
	}
	ups, err := server.Matrix(t.Context(), `up{job="edgehub"}[10m]`)
	require.NoError(t, err)
	require.Len(t, ups, targets)
	for _, target := range ups {
		good, busy := 0, false
		for _, pair := range target.Values {
			if pair.Value == 1 {
				good++
				busy = false
				continue
			}
			busy = busy || late[scrape(target.Metric, pair.Timestamp)]
			require.True(t, busy, "a scrape failed: %v %v", target.Metric, pair)
		}
		require.NotZero(t, good, "no scrape was good: %v", target.Metric)
	}
}
