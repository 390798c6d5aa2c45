package edgehub

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/hubring/hubring/internal/logtest"
)

const likesProtobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"

// group pushes a text to the group of a path, and returns the answer.
func (s *server) group(method, path, text string, headers ...string) (status int, reason, answer string) {
	s.t.Helper()
	r, answer := s.do(method, "/metrics/job/"+path, text, headers...)
	return r.StatusCode, r.Header.Get("Hubring-Reason"), answer
}

func (s *server) pushGroup(path, text string, headers ...string) {
	s.t.Helper()
	status, _, answer := s.group("PUT", path, text, headers...)
	require.Equal(s.t, http.StatusOK, status, answer)
	require.Empty(s.t, answer)
}

// withoutTimes are the lines of a text of samples, but for those that say when groups were pushed to.
func withoutTimes(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, "push_time_seconds") && !strings.Contains(line, "push_failure_time_seconds") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// What is pushed to a group goes with each scrape, to each scraper, with the first part, behind what the log has.
func TestGroupsGoWithEachScrape(t *testing.T) {
	s := serve(t, Config{Cursors: []string{"a", "b"}})
	s.pushGroup("j", "# TYPE x gauge\nx 1\n")
	const group = "# TYPE x gauge\nx{instance=\"\",job=\"j\"} 1\n"
	take := func(query string) string {
		answer, text := s.do("GET", "/metrics?"+query, "", scrapeTimeout, "10")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		return withoutTimes(text)
	}
	for range 2 {
		assert.Equal(t, group, take("cursor=a"))
	}
	assert.Equal(t, group, take("cursor=b&part=1&parts=2"))
	assert.Empty(t, take("cursor=b&part=2&parts=2"))
	s.push(at("y", 2, 0) + at("x", 3, 0))
	const alone = "x{instance=\"\",job=\"j\"} 1\n"
	assert.Equal(t, at("x", 3, 0)+at("y", 2, 0)+alone, take("cursor=a"), "the log's x has no type, so neither has the group's")
	assert.Equal(t, group, take("cursor=a"), "the log has nothing more")
	assert.Equal(t, at("x", 3, 0)+at("y", 2, 0)+alone, withoutTimes(s.get("/metrics?cursor=b")), "who looks sees it, too")
	assert.Zero(t, strings.Count(s.get("/debug?verbose"), "job=\"j\""))
	assert.Equal(t, group, take("cursor=a&max-bytes=1"))
	status, _, _ := s.group("DELETE", "j", "")
	assert.Equal(t, http.StatusAccepted, status)
	assert.Empty(t, take("cursor=a"))
}

// Names of the log that a scraper wants escaped may become those of groups.
func TestGroupsBesideEscapedNames(t *testing.T) {
	s := serve(t, Config{})
	s.push("# TYPE \"a.b\" histogram\n" + at(`{"a.b_bucket",le="+Inf"}`, 1, 0) + at(`{"a.b_count"}`, 1, 0) + at(`{"a.b_sum"}`, 1, 0))
	s.pushGroup("j", "# TYPE a_b gauge\na_b{le=\"high\"} 1\n# TYPE a_b_sum gauge\na_b_sum 2\n")
	for _, escaping := range []string{"underscores", "dots", "values", "allow-utf-8"} {
		_, text := s.do("GET", "/metrics", "", scrapeTimeout, "0.1", "Accept", "text/plain;version=1.0.0;escaping="+escaping)
		s.confirm()
		parser := expfmt.NewTextParser(model.UTF8Validation)
		_, err := parser.TextToMetricFamilies(strings.NewReader(text))
		assert.NoError(t, err, text)
		assert.Contains(t, text, `a_b_sum{instance="",job="j"} 2`)
		s.push(at(`{"a.b_bucket",le="+Inf"}`, 1, 1))
	}
}

// A bound of the response counts what groups need.
func TestGroupsCountInTheBytesOfAResponse(t *testing.T) {
	s := serve(t, Config{MaxScrapeBytes: 4000})
	s.pushGroup("j", "# TYPE x gauge\nx 1\n")
	groups := len(s.scrape())
	var text strings.Builder
	for i := range 1000 {
		text.WriteString(at("y", float64(i), int64(i)))
	}
	s.push(text.String())
	for range 3 {
		size := len(s.scrape())
		assert.Greater(t, size, groups+1000)
		assert.LessOrEqual(t, size, 4000)
	}
}

// Protobuf has the groups' histograms whole, and a family of the log's name beside.
func TestGroupsAsProtobuf(t *testing.T) {
	s := serve(t, Config{})
	s.push("# TYPE x counter\n" + at("x", 3, 0))
	s.pushGroup("j", "# TYPE x gauge\nx 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 2\n")
	answer, text := s.do("GET", "/metrics", "", "Accept", likesProtobuf)
	require.Equal(t, http.StatusOK, answer.StatusCode)
	var names []string
	for in := bytes.NewReader([]byte(text)); in.Len() > 0; {
		f := &dto.MetricFamily{}
		require.NoError(t, protodelim.UnmarshalFrom(in, f))
		names = append(names, fmt.Sprintf("%s %s %v", f.GetName(), f.GetType(), f.Metric[0].TimestampMs != nil))
	}
	assert.Equal(t, []string{
		"x COUNTER true", "h HISTOGRAM false", "push_failure_time_seconds GAUGE false", "push_time_seconds GAUGE false", "x GAUGE false",
	}, names)
}

// Whoever is refused is told why, in words and by the counters.
func TestRefusedGroups(t *testing.T) {
	s := serve(t, Config{MaxBodyBytes: 1000, MaxGroups: 1, Name: "hub"})
	counts := map[string]int{}
	refused := func(status int, reason, method, path, text string, headers ...string) {
		t.Helper()
		got, why, answer := s.group(method, path, text, headers...)
		assert.Equal(t, status, got, answer)
		assert.Equal(t, reason, why)
		assert.NotEmpty(t, answer)
		counts[reason]++
		s.says(fmt.Sprintf("edgehub_group_pushes_rejected_total{reason=%q} %d", reason, counts[reason]))
	}
	refused(400, "group_labels", "PUT", "j/k", "x 1\n")
	refused(400, "group_labels", "DELETE", "j/k//a/b", "")
	answer, text := s.do("POST", "//metrics/job/j", "x 1\n")
	assert.Equal(t, http.StatusBadRequest, answer.StatusCode)
	assert.Contains(t, text, "two slashes")
	counts["group_labels"]++
	refused(400, "malformed", "PUT", "j", "x\n")
	refused(400, "timestamp", "PUT", "j", "x 1 5\n")
	refused(429, "groups_limit", "PUT", "other", "x 1\n")
	refused(413, "body_too_large", "PUT", "j", strings.Repeat(" ", 1001))
	refused(400, "malformed", "PUT", "j", "", "Hubring-Group-TTL", "soon")
	refused(400, "encoding", "PUT", "j", "x 1\n", "Content-Encoding", "snappy")
	assert.Contains(t, s.get("/metrics"), "push_time_seconds{instance=\"\",job=\"j\"} 0\n")
	s.Retire()
	<-s.web.CloseEntrance()
	refused(503, "stopping", "PUT", "j", "x 1\n")
	refused(503, "stopping", "DELETE", "j", "")

	none := serve(t, Config{NoPushgateway: true})
	for _, path := range []string{"/metrics/job/j", "/api/v1/metrics", "/api/v1/groups"} {
		answer, _ := none.do("PUT", path, "x 1\n")
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, path)
	}
}

// A group is pushed to and deleted at the one port, and seen at the other.
func TestGroupsAtTwoDoors(t *testing.T) {
	s := serve(t, Config{EnableGroupAdmin: true})
	pushes, scrapes := s.behindDoor(s.PushServer()), s.behindDoor(s.ScrapeServer())
	pushes.pushGroup("j", "x 1\n")
	status, _, text := scrapes.group("PUT", "j", "x 2\n")
	assert.Equal(t, http.StatusNotFound, status)
	assert.Contains(t, text, "--web.listen-address")
	assert.Contains(t, scrapes.scrape(), "x{instance=\"\",job=\"j\"} 1\n")
	for path, method := range map[string]string{"/api/v1/metrics": "GET", "/api/v1/status": "GET", "/api/v1/admin/wipe": "PUT", "/api/v1/groups?match[]=x": "DELETE"} {
		door, other := scrapes, pushes
		if method != "GET" {
			door, other = pushes, scrapes
		}
		answer, _ := door.do(method, path, "")
		assert.Less(t, answer.StatusCode, 401, path)
		answer, _ = other.do(method, path, "")
		assert.Equal(t, http.StatusNotFound, answer.StatusCode, path)
	}
}

// The API shows groups as a Pushgateway's does, and deletes those that match.
func TestGroupsAPI(t *testing.T) {
	s := serve(t, Config{EnableGroupAdmin: true, Version: "1.2.3"})
	s.pushGroup("j/instance/y1", "# HELP x so much\n# TYPE x gauge\nx NaN\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\n")
	s.pushGroup("j/instance/y2", "# TYPE h histogram\nh_bucket{le=\"1e6\"} 1\nh_sum 1\nh_count 2\nu 1\n# TYPE c counter\nc 1\n")
	s.group("POST", "j/instance/y2", "x 1 5\n")
	s.pushGroup("k", "# TYPE x gauge\nx 1\n", "Hubring-Group-TTL", "0")
	var list struct {
		Status string
		Data   []map[string]any
	}
	require.NoError(t, json.Unmarshal([]byte(s.get("/api/v1/metrics")), &list))
	assert.Equal(t, "success", list.Status)
	require.Len(t, list.Data, 3)
	first, second := list.Data[0], list.Data[1]
	assert.Equal(t, map[string]any{"job": "j", "instance": "y1"}, first["labels"])
	assert.Equal(t, true, first["last_push_successful"])
	assert.Equal(t, false, second["last_push_successful"])
	x := first["x"].(map[string]any)
	assert.Equal(t, []any{"GAUGE", "so much", []any{map[string]any{"labels": map[string]any{"job": "j", "instance": "y1"}, "value": "NaN"}}}, []any{x["type"], x["help"], x["metrics"]})
	metric := func(group map[string]any, name string) map[string]any {
		return group[name].(map[string]any)["metrics"].([]any)[0].(map[string]any)
	}
	assert.Equal(t, map[string]any{"0.5": "1"}, metric(first, "s")["quantiles"])
	assert.Equal(t, map[string]any{"1e+06": "1", "+Inf": "2"}, metric(second, "h")["buckets"])
	assert.Equal(t, []any{"2", "1", "1", "1"}, []any{metric(second, "h")["count"], metric(second, "h")["sum"], metric(second, "u")["value"], metric(second, "c")["value"]})
	assert.NotEqual(t, "0", metric(second, "push_failure_time_seconds")["value"])
	assert.Contains(t, s.get("/api/v1/status"), `"version":"1.2.3"`)

	remove := func(status int, want string, selectors ...string) {
		t.Helper()
		answer, text := s.do("DELETE", "/api/v1/groups?"+url.Values{"match[]": selectors}.Encode(), "")
		assert.Equal(t, status, answer.StatusCode)
		assert.Contains(t, text, want)
	}
	remove(400, "which groups?")
	remove(400, "select too much", `{job=~".*"}`)
	remove(400, "no selector", `{job="k"}`, `job`)
	remove(200, `"deleted":0`, `{job="other"}`)
	remove(200, `"deleted":2`, `{job="j",instance=~"y.*"}`, `{job="j"}`)
	assert.Equal(t, "# TYPE x gauge\nx{instance=\"\",job=\"k\"} 1\n", withoutTimes(s.scrape()))
	answer, _ := s.do("PUT", "/api/v1/admin/wipe", "")
	assert.Equal(t, http.StatusAccepted, answer.StatusCode)
	assert.Empty(t, s.scrape())
}

// What was answered 200 is there after a kill: its directory is what it was then.
func TestGroupsOutliveAKill(t *testing.T) {
	dir := t.TempDir()
	first := serveHub(t, storing(t, dir, Config{}))
	first.pushGroup("j", "x 1\n", "Hubring-Group-TTL", "1h")
	first.pushGroup("deleted", "x 2\n")
	first.group("DELETE", "deleted", "")
	killed := t.TempDir()
	require.NoError(t, os.CopyFS(killed, os.DirFS(dir)))

	log := &logtest.Buffer{}
	second := serveHub(t, storing(t, killed, Config{Logger: log.Logger(), GroupTTL: time.Nanosecond}))
	second.says("edgehub_groups 1", "edgehub_groups_lost_total 0") // before anybody has asked for them
	assert.Equal(t, "# TYPE x untyped\nx{instance=\"\",job=\"j\"} 1\n", withoutTimes(second.scrape()))
	assert.Zero(t, log.Count("level=ERROR"), log)
}

// While groups cannot be read pushes to them are refused and scrapes go without.
func TestGroupsThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/groups", nil, 0o600)) // is no directory
	log := &logtest.Buffer{}
	s := serveHub(t, storing(t, dir, Config{Logger: log.Logger(), NoFirstSamples: true}))
	status, reason, _ := s.group("PUT", "j", "x 1\n")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "storage_failed", reason)
	s.push(at("y", 1, 0))
	assert.Contains(t, s.scrape(), at("y", 1, 0))
	assert.Equal(t, 1, log.Count("scrapes go without it"))
	answer, _ := s.do("GET", "/api/v1/metrics", "")
	assert.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
	require.NoError(t, os.Remove(dir+"/groups"))
	s.pushGroup("j", "x 1\n")
}

// A server that stores no response that has groups gets the samples of the log without them.
func TestGroupsKeepNothingElseFromAServer(t *testing.T) {
	var stored atomic.Value // the receipt of the response that the server stored last
	stored.Store("0")
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[%d,%q]]}]}}`, time.Now().Unix(), stored.Load())
	}))
	defer refusing.Close()
	log := &logtest.Buffer{}
	s := serve(t, Config{Servers: map[string]Server{"": {URL: refusing.URL}}, Logger: log.Logger()})
	s.pushGroup("j", "x 1\n")
	s.push(at("y", 1, 0))
	given, with := 0, 0
	for range 12 {
		text := s.scrape()
		if strings.Contains(text, "job=\"j\"") {
			with++
			continue
		}
		_, receipt, _ := strings.Cut(text, "\nedgehub_receipt ")
		stored.Store(strings.TrimSpace(receipt))
		given += strings.Count(text, "y 1 ")
	}
	assert.Equal(t, 1, given, "the server has y")
	assert.Greater(t, with, 5, "and groups are tried again")
	assert.Zero(t, s.Stats().Behind)
	assert.Equal(t, 1, log.Count("goes without what was pushed to groups"))
}

// The client library in Go pushes as it does to a Pushgateway, and takes the answers for success.
func TestClientOfAPushgateway(t *testing.T) {
	s := serve(t, Config{})
	counter := prometheus.NewCounter(prometheus.CounterOpts{Name: "c_total"})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "n", NativeHistogramBucketFactor: 1.1})
	for _, v := range []float64{-3, 0, 0.1, 7} {
		native.Observe(v)
	}
	pusher := push.New(s.url, "a/b").Grouping("k", "").Grouping("path", "/var/tmp").Client(s.client)
	require.NoError(t, pusher.Collector(counter).Collector(native).Push())
	require.NoError(t, push.New(s.url, "a/b").Grouping("path", "/var/tmp").Grouping("k", "").Client(s.client).Collector(counter).Add())
	const labels = `{instance="",job="a/b",k="",path="/var/tmp"`
	assert.Equal(t, "# TYPE c_total counter\nc_total"+labels+"} 0\n# TYPE n histogram\nn_bucket"+labels+",le=\"+Inf\"} 4\nn_sum"+labels+"} 4.1\nn_count"+labels+"} 4\n",
		strings.ReplaceAll(withoutTimes(s.scrape()), "# HELP c_total \n", ""))
	_, body := s.do("GET", "/metrics", "", "Accept", likesProtobuf)
	for in := bytes.NewReader([]byte(body)); in.Len() > 0; {
		f := &dto.MetricFamily{}
		require.NoError(t, protodelim.UnmarshalFrom(in, f))
		if f.GetName() == "n" {
			assert.Len(t, f.Metric[0].Histogram.PositiveDelta, 2)
			assert.Len(t, f.Metric[0].Histogram.NegativeDelta, 1)
		}
	}
	require.NoError(t, pusher.Delete())
	assert.Empty(t, s.scrape())
	assert.ErrorContains(t, push.New(s.url, "j").Grouping("k", "v").Collector(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "edgehub_receipt"}, func() float64 { return 1 })).Client(s.client).Push(), "a name of the hub's own")
}

// Many push, delete and scrape at the same time; each scrape parses, and each series comes once.
func TestGroupsConcurrently(t *testing.T) {
	s := serve(t, Config{StoragePath: "", Cursors: []string{"a", "b"}})
	h := s.Handler()
	ctx, stop := context.WithTimeout(t.Context(), time.Second)
	defer stop()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				group := fmt.Sprintf("/metrics/job/j%d", (worker+i)%7)
				w := httptest.NewRecorder()
				switch i % 4 {
				case 3:
					h.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, group, nil))
					assert.Equal(t, http.StatusAccepted, w.Code)
				default:
					h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, group, strings.NewReader(fmt.Sprintf("# TYPE x gauge\nx{l=\"%d\"} %d\ny%d 1\n", i%3, i, i%5))))
					assert.Equal(t, http.StatusOK, w.Code, w.Body)
				}
			}
		})
	}
	for _, accept := range []string{"", likesProtobuf} {
		all.Go(func() {
			for ctx.Err() == nil {
				r := httptest.NewRequest(http.MethodGet, "/metrics?cursor=a", nil)
				r.Header.Set("Accept", accept)
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				assert.Equal(t, http.StatusOK, w.Code)
				if accept == "" {
					parser := expfmt.NewTextParser(model.LegacyValidation)
					families, err := parser.TextToMetricFamilies(w.Body)
					assert.NoError(t, err)
					assertOnce(t, families)
				}
			}
		})
	}
	all.Wait()
}

func assertOnce(t *testing.T, families map[string]*dto.MetricFamily) {
	t.Helper()
	for name, f := range families {
		seen := map[string]bool{}
		for _, m := range f.Metric {
			labels := fmt.Sprint(m.Label)
			assert.False(t, seen[labels], "%s %s", name, labels)
			seen[labels] = true
		}
	}
}

// Whatever is pushed to a group, and to the log beside it, each scrape parses, as text and as protobuf.
func FuzzGroups(f *testing.F) {
	f.Add("j/k/v", []byte("# TYPE x gauge\nx 1\n"), []byte("# TYPE x counter\nx 1 5\n"), false)
	f.Add("j", []byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 2\n"), []byte("x_bucket{le=\"small\"} 1\n"), false)
	f.Add("j", []byte("x_bucket{le=\"small\"} 1\nx{quantile=\"a\"} 1\n"), []byte("# TYPE x histogram\nx_bucket{le=\"1\"} 1\nx_sum 2\n"), false)
	f.Add("j", []byte("# TYPE x gaugehistogram\nx_bucket{le=\"1\"} 1\n"), []byte("# TYPE x_sum gauge\nx_sum 1\n"), false)
	f.Add("j", []byte("# TYPE a_b gauge\na_b{le=\"high\"} 1\n"), []byte("# TYPE \"a.b\" histogram\n{\"a.b_sum\"} 1\n"), false)
	f.Add("j@base64/..", []byte("\x08\n\x01x\x18\x01\"\x01"), []byte("# TYPE x_sum gauge\nx_sum 1\n"), true)
	discard := slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, path string, body, log []byte, protobuf bool) {
		hub, err := New(Config{Logger: discard})
		require.NoError(t, err)
		defer hub.Close(ended())
		_, _ = hub.Push(t.Context(), Text, log) // refused is fine
		h := hub.Handler()
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			u := &url.URL{Path: "/metrics/job/" + path}
			if unescaped, err := url.PathUnescape(path); err == nil {
				u.Path, u.RawPath = "/metrics/job/"+unescaped, "/metrics/job/"+path
			}
			r := (&http.Request{Method: method, URL: u, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: -1}).WithContext(t.Context())
			if protobuf {
				r.Header.Set("Content-Type", "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited")
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.NotEqual(t, 3, w.Code/100)
			require.Less(t, w.Code, 500)

			text := httptest.NewRecorder()
			scrape := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			scrape.Header.Set(scrapeTimeout, "10")
			scrape.Header.Set("Accept", "text/plain;version=1.0.0;escaping="+[]string{"underscores", "allow-utf-8"}[len(body)%2])
			h.ServeHTTP(text, scrape)
			written := text.Body.String()
			parser := expfmt.NewTextParser(model.UTF8Validation)
			_, err := parser.TextToMetricFamilies(text.Body)
			require.NoError(t, err, "%s", written)

			messages := httptest.NewRecorder()
			look := httptest.NewRequest(http.MethodGet, "/metrics", nil)
			look.Header.Set("Accept", likesProtobuf)
			h.ServeHTTP(messages, look)
			for in := messages.Body; in.Len() > 0; {
				require.NoError(t, protodelim.UnmarshalFrom(in, &dto.MetricFamily{}))
			}
		}
	})
}

// A group whose time is over is in no scrape from then on, and its file goes.
func TestGroupsThatAreTooOld(t *testing.T) {
	dir := t.TempDir()
	s := serveHub(t, storing(t, dir, Config{GroupTTL: time.Nanosecond}))
	s.pushGroup("old", "x 1\n")
	s.pushGroup("own", "x 2\n", "Hubring-Group-TTL", "1h")
	assert.Equal(t, "# TYPE x untyped\nx{instance=\"\",job=\"own\"} 2\n", withoutTimes(s.scrape()))
	require.Eventually(t, func() bool {
		s.scrape()
		files, err := os.ReadDir(dir + "/groups")
		return err == nil && len(files) == 1
	}, 10*time.Second, time.Millisecond)
	s.awaitInternal("edgehub_groups_expired_total 1") // which is counted last
	s.says("edgehub_groups 1")
}
