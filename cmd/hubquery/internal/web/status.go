package web

import (
	"cmp"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/prometheus/promql/parser"
)

const mostStats = 10_000 // as Prometheus has it

var listHead = regexp.MustCompile(`^\s*\{\s*"status"\s*:\s*"success"\s*,\s*(?:"isPartial"\s*:\s*false\s*,\s*)?"data"\s*:\s*\[$`)

func isListHead(head []byte) bool { return listHead.Match(head) }

func quote(text string) []byte {
	b, _ := json.Marshal(text) // a string always can
	return b
}

// metadata joins what the shards know of families.
func (d *doors) metadata(w http.ResponseWriter, r *http.Request) {
	limit, perMetric := -1, -1
	for name, n := range map[string]*int{"limit": &limit, "limit_per_metric": &perMetric} {
		if text := r.Form.Get(name); text != "" {
			var err error
			if *n, err = strconv.Atoi(text); err != nil {
				fail(w, http.StatusBadRequest, "bad_data", "bad_data", name+" must be a number")
				return
			}
		}
	}
	type about struct {
		Type string `json:"type"`
		Help string `json:"help"`
		Unit string `json:"unit"`
	}
	answers, warnings, err := gather[map[string][]about](r.Context(), d, lately(), "/api/v1/metadata", pick(r, "metric", "limit", "limit_per_metric"))
	if err != nil {
		failWith(w, err)
		return
	}
	all := map[string][]about{}
	for _, answer := range answers {
		for _, name := range slices.Sorted(maps.Keys(answer)) {
			if _, there := all[name]; !there && limit >= 0 && len(all) >= limit {
				continue
			}
			for _, a := range answer[name] {
				if !slices.Contains(all[name], a) && (perMetric <= 0 || len(all[name]) < perMetric) {
					all[name] = append(all[name], a)
				}
			}
		}
	}
	reply(w, all, warnings)
}

// rules and alerts are those of the shards; a ruler that asks hubquery has its own. Groups come
// all at once, since shards' pages do not fit together.
func (d *doors) rules(w http.ResponseWriter, r *http.Request) {
	d.concat(w, r, pick(r, "type", "rule_name[]", "rule_group[]", "file[]", "exclude_alerts", "match[]"), "groups")
}

func (d *doors) alerts(w http.ResponseWriter, r *http.Request) { d.concat(w, r, nil, "alerts") }

func (d *doors) targets(w http.ResponseWriter, r *http.Request) {
	d.concat(w, r, pick(r, "state", "scrapePool"), "activeTargets", "droppedTargets")
}

// concat puts lists of all shards one after the other.
func (d *doors) concat(w http.ResponseWriter, r *http.Request, query url.Values, keys ...string) {
	answers, warnings, err := gather[map[string]json.RawMessage](r.Context(), d, lately(), r.URL.Path, query)
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

// exemplars puts the shards' exemplars together. A gateway that moved has them on more than one.
func (d *doors) exemplars(w http.ResponseWriter, r *http.Request) {
	expr, err := d.Parser.ParseExpr(r.Form.Get("query"))
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_data", "bad_data", err.Error())
		return
	}
	s, err := spanOf(r.Form)
	if err != nil {
		fail(w, http.StatusBadRequest, "bad_data", "bad_data", err.Error())
		return
	}
	if len(parser.ExtractSelectors(expr)) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	type one struct {
		Labels    json.RawMessage `json:"labels"`
		Value     json.RawMessage `json:"value"`
		Timestamp float64         `json:"timestamp"`
	}
	type found struct {
		Series    json.RawMessage `json:"seriesLabels"`
		Exemplars []one           `json:"exemplars"`
	}
	answers, warnings, err := gather[[]found](r.Context(), d, s, "/api/v1/query_exemplars", pick(r, "query", "start", "end"))
	if err != nil {
		failWith(w, err)
		return
	}
	all, at := []found{}, map[string]int{}
	for _, f := range slices.Concat(answers...) {
		if i, there := at[string(f.Series)]; there {
			all[i].Exemplars = append(all[i].Exemplars, f.Exemplars...)
			slices.SortStableFunc(all[i].Exemplars, func(a, b one) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
			continue
		}
		at[string(f.Series)] = len(all)
		all = append(all, f)
	}
	reply(w, all, warnings)
}

// tsdb adds up the shards' cardinalities. Of values that several shards have the sum is too large; of
// series it is exact, but for names that are among the first of some shards only.
func (d *doors) tsdb(w http.ResponseWriter, r *http.Request) {
	limit := 10
	if text := r.Form.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > mostStats {
			fail(w, http.StatusBadRequest, "bad_data", "bad_data", "limit must be a number from 1 to "+strconv.Itoa(mostStats))
			return
		}
		limit = n
	}
	query := url.Values{"limit": {strconv.Itoa(min(limit*10, mostStats))}} // so that few names are missed
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
		Total   uint64 `json:"totalSeries,omitempty"` // of a VictoriaMetrics, which has no head
		Series  []stat `json:"seriesCountByMetricName"`
		Values  []stat `json:"labelValueCountByLabelName"`
		Memory  []stat `json:"memoryInBytesByLabelName"`
		ByValue []stat `json:"seriesCountByLabelValuePair"`
	}
	answers, warnings, err := gather[stats](r.Context(), d, lately(), "/api/v1/status/tsdb", query)
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
		return to
	}
	most := func(all *[]stat) {
		slices.SortFunc(*all, func(a, b stat) int { return cmp.Or(cmp.Compare(b.Value, a.Value), cmp.Compare(a.Name, b.Name)) })
		*all = slices.Clip((*all)[:min(len(*all), limit)])
	}
	sum := stats{Series: []stat{}, Values: []stat{}, Memory: []stat{}, ByValue: []stat{}}
	for _, a := range answers {
		sum.Head.NumSeries += a.Head.NumSeries + a.Total
		sum.Head.NumLabelPairs += a.Head.NumLabelPairs
		sum.Head.ChunkCount += a.Head.ChunkCount
		if a.Total == 0 && (sum.Head.MinTime == 0 || a.Head.MinTime < sum.Head.MinTime) {
			sum.Head.MinTime = a.Head.MinTime
		}
		sum.Head.MaxTime = max(sum.Head.MaxTime, a.Head.MaxTime)
		sum.Series, sum.Values = add(sum.Series, a.Series), add(sum.Values, a.Values)
		sum.Memory, sum.ByValue = add(sum.Memory, a.Memory), add(sum.ByValue, a.ByValue)
	}
	for _, all := range []*[]stat{&sum.Series, &sum.Values, &sum.Memory, &sum.ByValue} {
		most(all)
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
