package web

import (
	"cmp"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/common/model"
)

var listHead = regexp.MustCompile(`^\s*\{\s*"status"\s*:\s*"success"\s*,\s*"data"\s*:\s*\[$`)

func isListHead(head []byte) bool { return listHead.Match(head) }

func quote(text string) []byte {
	b, _ := json.Marshal(text) // a string always can
	return b
}

// utf8Name writes a name as the API takes it in a path.
func utf8Name(name string) string { return model.EscapeName(name, model.ValueEncodingEscaping) }

// metadata joins what the shards know of families.
func (d *doors) metadata(w http.ResponseWriter, r *http.Request) {
	query, ok := form(w, r)
	if !ok {
		return
	}
	type about struct {
		Type string `json:"type"`
		Help string `json:"help"`
		Unit string `json:"unit"`
	}
	answers, warnings, err := gather[map[string][]about](d, r.Context(), "/api/v1/metadata", query)
	if err != nil {
		failWith(w, err)
		return
	}
	all := map[string][]about{}
	limit, _ := strconv.Atoi(query.Get("limit")) // a shard has refused what is no number
	for _, answer := range answers {
		for _, name := range slices.Sorted(maps.Keys(answer)) {
			if _, there := all[name]; !there && limit > 0 && len(all) >= limit {
				continue
			}
			for _, a := range answer[name] {
				if !slices.Contains(all[name], a) {
					all[name] = append(all[name], a)
				}
			}
		}
	}
	reply(w, all, warnings)
}

// rules and alerts are those of the shards; a ruler that asks hubquery has its own.
func (d *doors) rules(w http.ResponseWriter, r *http.Request) { d.concat(w, r, "groups") }

func (d *doors) alerts(w http.ResponseWriter, r *http.Request) { d.concat(w, r, "alerts") }

func (d *doors) targets(w http.ResponseWriter, r *http.Request) {
	d.concat(w, r, "activeTargets", "droppedTargets")
}

// concat puts lists of all shards one after the other.
func (d *doors) concat(w http.ResponseWriter, r *http.Request, keys ...string) {
	query, ok := form(w, r)
	if !ok {
		return
	}
	answers, warnings, err := gather[map[string]json.RawMessage](d, r.Context(), r.URL.Path, query)
	if err != nil {
		failWith(w, err)
		return
	}
	all := map[string][]json.RawMessage{}
	for _, key := range keys {
		all[key] = []json.RawMessage{}
		for _, answer := range answers {
			var list []json.RawMessage
			if json.Unmarshal(answer[key], &list) == nil { // VictoriaMetrics leaves some out
				all[key] = append(all[key], list...)
			}
		}
	}
	reply(w, all, warnings)
}

// tsdb adds up the shards' cardinalities.
func (d *doors) tsdb(w http.ResponseWriter, r *http.Request) {
	query, ok := form(w, r)
	if !ok {
		return
	}
	type stat struct {
		Name  string `json:"name"`
		Value uint64 `json:"value"`
	}
	type head struct {
		NumSeries     uint64 `json:"numSeries"`
		NumLabelPairs int    `json:"numLabelPairs"`
		ChunkCount    int64  `json:"chunkCount"`
		MinTime       int64  `json:"minTime"`
		MaxTime       int64  `json:"maxTime"`
	}
	type stats struct {
		Head    head   `json:"headStats"`
		Series  []stat `json:"seriesCountByMetricName"`
		Values  []stat `json:"labelValueCountByLabelName"`
		Memory  []stat `json:"memoryInBytesByLabelName"`
		ByValue []stat `json:"seriesCountByLabelValuePair"`
	}
	answers, warnings, err := gather[stats](d, r.Context(), "/api/v1/status/tsdb", query)
	if err != nil {
		failWith(w, err)
		return
	}
	add := func(to []stat, of []stat) []stat {
		for _, s := range of {
			if i := slices.IndexFunc(to, func(t stat) bool { return t.Name == s.Name }); i >= 0 {
				to[i].Value += s.Value
			} else {
				to = append(to, s)
			}
		}
		slices.SortFunc(to, func(a, b stat) int { return cmp.Compare(b.Value, a.Value) })
		return to
	}
	var sum stats
	for i, a := range answers {
		sum.Head.NumSeries += a.Head.NumSeries
		sum.Head.NumLabelPairs += a.Head.NumLabelPairs
		sum.Head.ChunkCount += a.Head.ChunkCount
		if i == 0 || a.Head.MinTime < sum.Head.MinTime {
			sum.Head.MinTime = a.Head.MinTime
		}
		sum.Head.MaxTime = max(sum.Head.MaxTime, a.Head.MaxTime)
		sum.Series, sum.Values = add(sum.Series, a.Series), add(sum.Values, a.Values)
		sum.Memory, sum.ByValue = add(sum.Memory, a.Memory), add(sum.ByValue, a.ByValue)
	}
	reply(w, sum, warnings)
}

func (d *doors) runtime(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{
		"startTime": d.began, "serverTime": time.Now(), "goroutineCount": runtime.NumGoroutine(),
		"GOMAXPROCS": runtime.GOMAXPROCS(0), "reloadConfigSuccess": true, "lastConfigTime": d.began,
	}, nil)
}

var page = template.Must(template.New("").Parse(`<!DOCTYPE html>
<html lang="en"><title>hubquery</title>
<h1>hubquery</h1>
<p>Answers PromQL over all shards: <a href="/api/v1/query?query=count(up)">/api/v1/query</a>, as a Prometheus does. <a href="/metrics">Its own metrics</a>.</p>
<table><tr><th>shard<th>servers<th>answers
{{range .}}<tr><td>{{.Name}}<td>{{range .Servers}}<a href="{{.URL}}">{{.URL}}</a> {{end}}<td>{{if .Up}}yes{{else}}no{{end}}
{{end}}</table>
`))

// page is for people: which shards there are.
func (d *doors) page(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if err := page.Execute(w, d.Shards.All()); err != nil {
		d.Logger.Debug("page not written", "error", err)
	}
}
