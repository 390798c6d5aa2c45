package edgehub

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An ancestorCase is one line of testdata/edge-hub-answers.tsv.
type ancestorCase struct {
	transport, name, flags, before, request, headers, packed, body string
	want                                                           ancestorAnswer
}

// An ancestorAnswer is what a request is answered, and what the next scrape gives.
type ancestorAnswer struct {
	status string // of HTTP, or the word for gRPC's
	series []string
}

func ancestorCases(t *testing.T) (cases []ancestorCase) {
	t.Helper()
	file, err := os.ReadFile("testdata/edge-hub-answers.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(file)) {
		cells := strings.Split(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "$", caseMetric), "\t")
		if len(cells) == 1 || cells[0] == "transport" {
			continue
		}
		require.Len(t, cells, 10, line)
		cases = append(cases, ancestorCase{
			cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6], strings.ReplaceAll(cells[7], `\n`, "\n"),
			ancestorAnswer{cells[8], ancestorSeries(parted(cells[9]))},
		})
	}
	return cases
}

// ancestorSeries are the lines that say something, in order: a family without a TYPE line is untyped, too.
func ancestorSeries(lines []string) []string {
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "# TYPE ") && strings.HasSuffix(line, " untyped")
	})
	slices.Sort(lines)
	return lines
}

// answer is what a hub answers to a case.
func (c *ancestorCase) answer(t *testing.T) (a ancestorAnswer) {
	t.Helper()
	cfg := Config{MaxAge: 100 * 365 * 24 * time.Hour} // the ancestor knows no age
	if limit, ok := strings.CutPrefix(c.flags, "-limit "); ok {
		var err error
		cfg.MaxSamples, err = strconv.Atoi(limit)
		require.NoError(t, err)
	}
	h := newHub(t, cfg)
	for _, push := range parted(c.before) {
		text := strings.ReplaceAll(strings.TrimPrefix(push, "POST /metrics "), `\n`, "\n")
		_, err := h.Push(t.Context(), Text, []byte(text))
		require.NoError(t, err)
	}
	a.status = c.ask(t, h)
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set(scrapeTimeout, "10")
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	require.Equal(t, http.StatusOK, w.Code)
	for line := range strings.Lines(w.Body.String()) {
		if !strings.Contains(line, "edgehub_receipt") && !strings.Contains(line, "push_time_seconds") && !strings.Contains(line, "push_failure_time_seconds") {
			a.series = append(a.series, strings.TrimSpace(line))
		}
	}
	a.series = ancestorSeries(a.series)
	return a
}

// ask sends a case's request.
func (c *ancestorCase) ask(t *testing.T, h *Hub) (status string) {
	t.Helper()
	if c.transport == "gRPC" {
		status, text := serveCalls(t, h).call(c.request, c.packed, familiesOf(t, parted(c.body)...))
		t.Log(text)
		return status
	}
	method, path, _ := strings.Cut(c.request, " ")
	how, chunked := c.packed, c.packed == "chunked"
	if chunked {
		how = ""
	}
	r := httptest.NewRequest(method, path, bytes.NewReader(packed(t, how, c.body)))
	if chunked {
		r.ContentLength, r.TransferEncoding = -1, []string{"chunked"}
	}
	for _, header := range parted(c.headers) {
		if header == "text" {
			header = "Content-Type: text/plain; version=0.0.4; charset=utf-8"
		}
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.Handler().ServeHTTP(w, r)
	return strconv.Itoa(w.Code)
}

// A hub answers as a prometheus-edge-hub does, and gives what that gives, but for what docs/doors.md lists; and what is listed
// is so.
func TestAnswersOfTheAncestor(t *testing.T) {
	listed := differences(t, "prometheus-edge-hub")
	for _, c := range ancestorCases(t) {
		t.Run(c.name, func(t *testing.T) {
			got := c.answer(t)
			if listed[c.name] {
				assert.NotEqual(t, c.want, got, "it does not differ any more: take it off the list")
			} else {
				assert.Equal(t, c.want, got, "%s %s", c.request, c.body)
			}
		})
		delete(listed, c.name)
	}
	assert.Empty(t, listed, "what is no case is listed")
}
