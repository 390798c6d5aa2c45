package web

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/cmd/hubquery/internal/servertest"
)

func objects(t *testing.T, list json.RawMessage) (all []string) {
	t.Helper()
	var raw []json.RawMessage
	require.NoError(t, json.Unmarshal(list, &raw), "%s", list)
	for _, r := range raw {
		all = append(all, string(r))
	}
	slices.Sort(all)
	return all
}

// The list of all shards is one Prometheus' list, to the byte.
func TestSeries(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	for _, params := range [][]string{
		{"match[]", `{__name__=~".+"}`},
		{"match[]", "load"},
		{"match[]", "odd", "match[]", `{"odd.name"}`},
		{"match[]", "nothing"},
		{"match[]", "load", "start", stamp(begin), "end", stamp(begin + 60_000)},
		{"match[]", "load", "start", "1", "end", "2"},
		{"match[]", "load", "start", "2026-11-30T00:00:00Z", "end", "2026-11-30T00:01:00.5Z", "limit", "0"},
		{"match[]", "load", "limit", "6"},
	} {
		want := ask(t, http.MethodGet, h.one.URL+"/api/v1/series", values(params...))
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, encoding := range []string{"identity", "gzip", "deflate, gzip"} {
				got := ask(t, method, h.url+"/api/v1/series", values(append(params, "dedup", "true")...), "Accept-Encoding", encoding)
				require.Equal(t, http.StatusOK, got.code, "%s", got.body)
				assert.Equal(t, objects(t, want.json.Data), objects(t, got.json.Data), params)
				assert.Equal(t, want.json.Warnings, got.json.Warnings, params)
				got.requireZipped(t, strings.Contains(encoding, "gzip"))
				assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			}
		}
	}
	for limit := 1; limit < 6; limit++ { // a shard has 3, the other 4, one of them the same
		got := h.get("/api/v1/series", "match[]", "load", "limit", strconv.Itoa(limit))
		assert.Len(t, objects(t, got.json.Data), limit)
		assert.Equal(t, []string{truncated}, got.json.Warnings)
	}
}

// Long lists go through without being taken apart, whatever is in them.
func TestSeriesThatAreMany(t *testing.T) {
	h := newHouse(t, 2, nil)
	var want []string
	for i := range 3000 {
		text := strings.Repeat(`a"}\`, i%50) + strings.Repeat("é", 1+i%7)
		series := []string{"__name__", "many", "n", strconv.Itoa(i), "text", text}
		h.shards[i%2].Add([]servertest.Sample{{T: 1000, V: 1}}, series...)
		if i%3 == 0 {
			h.shards[(i+1)%2].Add([]servertest.Sample{{T: 1000, V: 1}}, series...)
		}
		b, err := json.Marshal(labels.FromStrings(series...))
		require.NoError(t, err)
		want = append(want, string(b))
	}
	got := h.get("/api/v1/series", "match[]", "many")
	var all []string
	for _, o := range objects(t, got.json.Data) {
		var l labels.Labels
		require.NoError(t, json.Unmarshal([]byte(o), &l))
		b, err := json.Marshal(l)
		require.NoError(t, err)
		all = append(all, string(b))
	}
	slices.Sort(all)
	slices.Sort(want)
	assert.True(t, slices.Equal(want, all)) // a difference would be long
}

// A shard that breaks off in the middle of its list breaks off the answer: half of one that ends cleanly would be
// believed.
func TestSeriesThatBreakOff(t *testing.T) {
	h := newHouse(t, 2, nil).fill()
	broken := func(body string, cut bool) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, body)
			if cut {
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			return true
		}
	}
	const head = `{"status":"success","data":[`
	var series strings.Builder // more than is held back
	for i := range 20_000 {
		fmt.Fprintf(&series, `{"n":"%d","a":"bcd"},`, i)
	}
	for _, c := range []struct {
		body string
		cut  bool
	}{
		{`{"status":"success","data":[{"a":"b"},`, false},
		{`{"status":"success","data":[{"a":"b"},`, true},
		{`{"status":"success","data":[{"a":"b"}`, false},
		{`{"status":"success","data":[{"a":"b`, false},
		{`{"status":"success","data":[{"a":"b\`, false},
		{`{"status":"success","data":[{"a":"b"}]`, false},
		{`{"status":"success","data":[{"a":"b"}]`, true},
		{`{"status":"success","data":[{"a":"b"} {"a":"c"}]}`, false},
		{`{"status":"success","data":[7]}`, false},
		{`{"status":"success","data":[]}x`, false},
		{`{"status":"success","data":[{"a":"` + strings.Repeat("x", mostSeriesBytes+200_000) + `"}]}`, false},
		{`{"status":"success","data":[{"a":"b"},]}`, false},
		{`{"status":"success","data":[,{"a":"b"}]}`, false},
	} {
		h.shards[1].Intercept(broken(c.body, c.cut))
		got := h.get("/api/v1/series", "match[]", "load")
		assert.Equal(t, http.StatusServiceUnavailable, got.code, "nothing was sent yet: %.80s", c.body)
		assert.Contains(t, got.json.Error, "shard 1")
		if !strings.HasPrefix(c.body, head) {
			continue
		}
		long := head + series.String() + strings.TrimPrefix(c.body, head)
		h.shards[1].Intercept(broken(long, c.cut))
		for _, encoding := range []string{"identity", "gzip"} {
			before := h.value("hubquery_queries_total", "aborted", "series")
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/api/v1/series?match[]=load", nil)
			require.NoError(t, err)
			req.Header.Set("Accept-Encoding", encoding)
			resp, err := http.DefaultClient.Do(req)
			if err == nil {
				var body []byte
				body, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				require.Error(t, err, "of %.80s: %s", c.body, body)
			}
			assert.InDelta(t, before+1, h.value("hubquery_queries_total", "aborted", "series"), 0)
		}
	}
	assert.Positive(t, h.refusals(shardUnavailable))

	// Before the first series is written, an error can be said.
	for _, body := range []string{"", "<html>", `{"status":"success","data":{}}`, `{"status":"error","error":"x"}`, `{"status":"success","data":null}`, strings.Repeat(" ", heldSeries+10)} {
		h.shards[0].Intercept(broken(body, false))
		got := h.get("/api/v1/series", "match[]", "load")
		assert.Equal(t, http.StatusServiceUnavailable, got.code)
		assert.Contains(t, got.json.Error, "shard 0: not a list of series")
	}

	// What a shard says of its list is passed on.
	h.shards[0].Intercept(broken(`{"status":"success","isPartial":false,"data":[ {"a":"b"} , {"a":"c"} ],"warnings":["half of it"],"infos":["so"]}`+"\n", false))
	h.shards[1].Intercept(broken(`{"status":"success","data":[],"warnings":["half of it"]}`, false))
	got := h.get("/api/v1/series", "match[]", "load")
	assert.Equal(t, []string{`{"a":"b"}`, `{"a":"c"}`}, objects(t, got.json.Data))
	assert.Equal(t, []string{"half of it", "so"}, got.json.Warnings)
}

// readAll reads the objects of a list as take does.
func readAll(in io.Reader) (all []string, err error) {
	w := httptest.NewRecorder()
	l := newListing(w, mostListed)
	if _, err := l.take(in); err != nil {
		return nil, err
	}
	l.end(nil)
	var answer struct{ Data []json.RawMessage }
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		return nil, fmt.Errorf("BUG: %w: %s", err, w.Body)
	}
	for _, o := range answer.Data {
		all = append(all, string(o))
	}
	return all, nil
}

// What readObject takes for a series' labels, encoding/json does; wherever the buffer ends.
func FuzzReadObject(f *testing.F) {
	f.Add(`{"__name__":"up","a":"b\"}\\"}`, uint16(3))
	f.Add(`{"a":"\\","b":"}"}`, uint16(16))
	f.Add(`{}`, uint16(1))
	f.Add(`{"a":"é\u2028\n"}`, uint16(20))
	f.Fuzz(func(t *testing.T, text string, pad uint16) {
		var want map[string]string
		d := json.NewDecoder(strings.NewReader(text))
		valid := strings.HasPrefix(text, "{") && d.Decode(&want) == nil && want != nil
		// The smallest buffer there is, with the object at any place in it.
		before := strings.Repeat(" ", int(pad%64))
		in := bufio.NewReaderSize(strings.NewReader(before+text), 16)
		_, err := in.Discard(len(before))
		require.NoError(t, err)
		c, err := in.ReadByte()
		if err != nil || c != '{' {
			return
		}
		got, err := readObject(in, []byte{'{'})
		if !valid {
			return // it is passed on as it is, and whoever asked finds it
		}
		require.NoError(t, err)
		require.Equal(t, text[:d.InputOffset()], string(got))
		if cut := text[:d.InputOffset()-1]; len(cut) > 1 {
			_, err := readObject(bufio.NewReaderSize(strings.NewReader(cut[1:]), 16), []byte{'{'})
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		}
	})
}

// Whatever a shard sends for a list, it does not break what is around it: an answer that ends cleanly is
// JSON whenever the objects in it are.
func FuzzTake(f *testing.F) {
	f.Add([]byte(`{"status":"success","data":[{"a":"b"},{"a":"c\\"}],"warnings":["x"]}`))
	f.Add([]byte(`{"status":"success","isPartial":true,"data":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		all, err := readAll(bytes.NewReader(body))
		if err == nil {
			var want struct{ Data []json.RawMessage }
			if json.Unmarshal(body, &want) == nil {
				seen := map[string]bool{}
				for _, o := range want.Data {
					seen[string(o)] = true
				}
				require.Len(t, all, len(seen))
			}
			body = bytes.TrimRight(body, " \t\r\n")
			_, cut := readAll(bytes.NewReader(body[:len(body)-1]))
			require.Error(t, cut)
		}
	})
}

func BenchmarkTake(b *testing.B) {
	var body bytes.Buffer
	body.WriteString(`{"status":"success","data":[`)
	for i := range 20_000 {
		if i > 0 {
			body.WriteByte(',')
		}
		fmt.Fprintf(&body, `{"__name__":"requests_total","gatewayID":"gw-%d","networkID":"net-%d","instance":"hub","job":"edgehub"}`, i, i%20)
	}
	body.WriteString(`]}`)
	b.SetBytes(int64(body.Len()))
	b.ReportAllocs()
	for b.Loop() {
		l := newListing(httptest.NewRecorder(), mostListed)
		if _, err := l.take(bytes.NewReader(body.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
}
