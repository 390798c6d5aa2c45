package edgehub

import (
	"bytes"
	"compress/zlib"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/prototext"
)

// A pushgatewayCase is one line of testdata/pushgateway-answers.tsv.
type pushgatewayCase struct {
	name, flags, before, request, headers, packed, body string
	want                                                pushgatewayAnswer
}

// A pushgatewayAnswer is what a request is answered, and what is there of it then.
type pushgatewayAnswer struct {
	status string
	header []string
	series []string
}

const (
	caseMetric = "a_metric"
	caseJob    = "a_job"
)

func pushgatewayCases(t *testing.T) (cases []pushgatewayCase) {
	t.Helper()
	file, err := os.ReadFile("testdata/pushgateway-answers.tsv")
	require.NoError(t, err)
	for line := range strings.Lines(string(file)) {
		cells := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(cells) == 1 || cells[0] == "case" {
			continue
		}
		require.Len(t, cells, 10, line)
		named := strings.NewReplacer("$", caseMetric, "~", caseJob)
		for i := 2; i < len(cells); i++ {
			cells[i] = named.Replace(cells[i])
		}
		cases = append(cases, pushgatewayCase{
			cells[0], cells[1], cells[2], cells[3], cells[4], cells[5], cells[6],
			pushgatewayAnswer{cells[7], slices.Sorted(slices.Values(parted(cells[8]))), slices.Sorted(slices.Values(parted(cells[9])))},
		})
	}
	return cases
}

// parted are the parts of a cell, in order.
func parted(cell string) []string {
	if cell == "" {
		return nil
	}
	return strings.Split(cell, " ; ")
}

// answer is what a hub answers to a case.
func (c *pushgatewayCase) answer(t *testing.T) pushgatewayAnswer {
	t.Helper()
	h := newHub(t, Config{EnableGroupAdmin: c.flags != "", EnableLifecycle: c.flags != ""}).Handler()
	for _, push := range parted(c.before) {
		method, rest, _ := strings.Cut(push, " ")
		path, body, _ := strings.Cut(rest, " ")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(strings.ReplaceAll(body, `\n`, "\n"))))
		require.Equal(t, http.StatusOK, w.Code, w.Body)
	}
	method, path, _ := strings.Cut(c.request, " ")
	r := httptest.NewRequest(method, path, bytes.NewReader(packed(t, c.packed, strings.ReplaceAll(c.body, `\n`, "\n"))))
	for _, header := range parted(c.headers) {
		if header == "text" {
			header = "Content-Type: text/plain; version=0.0.4; charset=utf-8"
		}
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := pushgatewayAnswer{status: strconv.Itoa(w.Code)}
	for _, name := range []string{"Allow", "Content-Type", "Location"} {
		value := w.Header().Get(name)
		switch name {
		case "Content-Type": // its kind
			value, _, _ = strings.Cut(value, ";")
		case "Allow":
			methods := strings.Split(value, ", ")
			slices.Sort(methods)
			value = strings.Join(methods, ", ")
		}
		if value != "" {
			a.header = append(a.header, strings.ToLower(name)+": "+value)
		}
	}
	w = httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	for line := range strings.Lines(w.Body.String()) {
		series, number, _ := strings.Cut(strings.TrimSpace(line), "} ")
		value, _ := strconv.ParseFloat(number, 64)
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "push_failure_time_seconds"):
			if value != 0 {
				a.series = append(a.series, "failed")
			}
		case strings.HasPrefix(line, "push_time_seconds") && !strings.Contains(c.body, "push_time_seconds"):
		case !strings.HasPrefix(line, caseMetric) && !strings.HasPrefix(line, "push_time_seconds"):
		case value > 1e9:
			a.series = append(a.series, series+"} T")
		default:
			a.series = append(a.series, strings.TrimSpace(line))
		}
	}
	slices.Sort(a.series)
	return a
}

// packed is a body as it is sent.
func packed(t testing.TB, how, body string) []byte {
	t.Helper()
	var out bytes.Buffer
	write := func(w io.WriteCloser) {
		_, err := w.Write([]byte(body))
		require.NoError(t, err)
		require.NoError(t, w.Close())
	}
	switch how {
	case "":
		return []byte(body)
	case "gzip":
		write(gzip.NewWriter(&out))
	case "gzip-cut":
		return packed(t, "gzip", body)[:20]
	case "snappy":
		write(snappy.NewBufferedWriter(&out))
	case "deflate":
		write(zlib.NewWriter(&out))
	case "zstd":
		z, err := zstd.NewWriter(&out)
		require.NoError(t, err)
		write(z)
	case "proto":
		f := &dto.MetricFamily{}
		require.NoError(t, prototext.Unmarshal([]byte(body), f))
		_, err := protodelim.MarshalTo(&out, f)
		require.NoError(t, err)
	default:
		t.Fatalf("there is no packing %q", how)
	}
	return out.Bytes()
}

// differences are the names of the cases that docs/doors.md lists as answered otherwise than by another program.
func differences(t *testing.T, from string) map[string]bool {
	t.Helper()
	doors, err := os.ReadFile("../docs/doors.md")
	require.NoError(t, err)
	_, section, found := strings.Cut(string(doors), "### Where it differs from "+from+"\n")
	require.True(t, found)
	section, _, _ = strings.Cut(section, "\n#")
	names := map[string]bool{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for i, name := range strings.Split(cells[1], "`") {
				if i%2 == 1 {
					names[name] = true
				}
			}
		}
	}
	return names
}

// A hub answers as a Pushgateway does, and has of it what that has, but for what docs/doors.md says; and what that
// says is so.
func TestAnswersOfAPushgateway(t *testing.T) {
	listed := differences(t, "a Pushgateway")
	for _, c := range pushgatewayCases(t) {
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
