package ask

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	Base   string
	Params url.Values // sent with every request
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 1 << 30

// Ask sends the requests of a query one after the other and returns what was answered.
// A partial answer is an error.
func (c Client) Ask(ctx context.Context, q Query) ([][]byte, error) {
	var out [][]byte
	for _, r := range q.Requests {
		body, err := c.get(ctx, r)
		if err != nil {
			return nil, fmt.Errorf("ask %s %s: %w", r.Path, r.Params.Get("query"), err)
		}
		out = append(out, body)
	}
	return out, nil
}

func (c Client) get(ctx context.Context, r Request) ([]byte, error) {
	params := url.Values{}
	for _, values := range []url.Values{c.Params, r.Params} {
		for k, v := range values {
			params[k] = v
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+r.Path+"?"+params.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %.300s", resp.Status, body)
	}
	return body, err
}

// Answer is what was answered to one query, read.
type Answer struct {
	series []map[string][]model.SamplePair // by request and series
	names  []string
}

// Series is how many series, or entries, there are.
func (a *Answer) Series() int {
	n := len(a.names)
	for _, s := range a.series {
		n += len(s)
	}
	return n
}

// Read reads what was answered. The shard's label is left out: some say which shard a
// series is of, one server cannot.
func Read(q Query, bodies [][]byte) (*Answer, error) {
	a := &Answer{}
	for _, body := range bodies {
		var envelope struct {
			Status   string          `json:"status"`
			Error    string          `json:"error"`
			Warnings []string        `json:"warnings"`
			Data     json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(body, &envelope); err != nil {
			return nil, fmt.Errorf("read the answer to %s: %w", q.Name, err)
		}
		if envelope.Status != "success" || len(envelope.Warnings) > 0 {
			return nil, fmt.Errorf("the answer to %s: %s %s", q.Name, envelope.Error, strings.Join(envelope.Warnings, "; "))
		}
		read := a.readSeries
		if q.Rule == Names {
			read = a.readNames
		}
		if err := read(envelope.Data); err != nil {
			return nil, fmt.Errorf("read the answer to %s: %w", q.Name, err)
		}
	}
	slices.Sort(a.names)
	return a, nil
}

func (a *Answer) readSeries(data []byte) error {
	var result struct {
		Type  string          `json:"resultType"`
		Value json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(data, &result); err != nil {
		return err
	}
	out := map[string][]model.SamplePair{}
	a.series = append(a.series, out)
	add := func(m model.Metric, points []model.SamplePair) error {
		delete(m, "shard")
		key := m.String()
		if _, twice := out[key]; twice {
			return fmt.Errorf("series %s is there twice", key)
		}
		out[key] = points
		return nil
	}
	switch result.Type {
	case "vector":
		var v model.Vector
		if err := json.Unmarshal(result.Value, &v); err != nil {
			return err
		}
		for _, s := range v {
			if err := add(s.Metric, []model.SamplePair{{Timestamp: s.Timestamp, Value: s.Value}}); err != nil {
				return err
			}
		}
	case "matrix":
		var m model.Matrix
		if err := json.Unmarshal(result.Value, &m); err != nil {
			return err
		}
		for _, s := range m {
			if err := add(s.Metric, s.Values); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("a %q", result.Type)
	}
	return nil
}

func (a *Answer) readNames(data []byte) error {
	var texts []string
	if json.Unmarshal(data, &texts) == nil {
		a.names = append(a.names, texts...)
		return nil
	}
	var series []model.Metric
	if err := json.Unmarshal(data, &series); err != nil {
		return err
	}
	for _, m := range series {
		delete(m, "shard")
		a.names = append(a.names, m.String())
	}
	return nil
}

// tolerance is how far apart values may be that count as equal, as a part of the larger:
// sums are added up in another order.
const tolerance = 1e-9

// Difference says in a few words how two answers differ, or "".
func Difference(rule Rule, a, b *Answer) string {
	if rule == Names {
		if missing, more := without(a.names, b.names), without(b.names, a.names); len(missing)+len(more) > 0 {
			return fmt.Sprintf("%d entries are missing, %d are too many of %d, such as %.100s", len(missing), len(more), len(a.names), append(missing, more...)[0])
		}
		if len(a.names) != len(b.names) {
			return fmt.Sprintf("%d entries for %d", len(b.names), len(a.names))
		}
		return ""
	}
	for i := range a.series {
		of := ""
		if len(a.series) > 1 {
			of = fmt.Sprintf("request %d: ", i+1)
		}
		x, y := a.series[i], b.series[i]
		if rule == Ties {
			x, y = ranked(x), ranked(y)
		}
		if d := differ(x, y); d != "" {
			return of + d
		}
	}
	return ""
}

// without returns the entries of a that are not in b. Both are sorted.
func without(a, b []string) []string {
	var out []string
	for _, s := range a {
		if _, ok := slices.BinarySearch(b, s); !ok {
			out = append(out, s)
		}
	}
	return out
}

// ranked makes a series of the largest values, one of the second largest and so on.
func ranked(series map[string][]model.SamplePair) map[string][]model.SamplePair {
	at := map[model.Time][]float64{}
	for _, points := range series {
		for _, p := range points {
			at[p.Timestamp] = append(at[p.Timestamp], float64(p.Value))
		}
	}
	out := map[string][]model.SamplePair{}
	for t, values := range at {
		slices.Sort(values)
		slices.Reverse(values)
		for rank, v := range values {
			name := fmt.Sprintf("rank %d", rank)
			out[name] = append(out[name], model.SamplePair{Timestamp: t, Value: model.SampleValue(v)})
		}
	}
	for _, points := range out {
		slices.SortFunc(points, func(a, b model.SamplePair) int { return int(a.Timestamp - b.Timestamp) })
	}
	return out
}

func differ(a, b map[string][]model.SamplePair) string {
	missing, more, times, values, compared := 0, 0, 0, 0, 0
	worst, where := 0.0, ""
	for key, x := range a {
		y, ok := b[key]
		if !ok {
			missing++
			where = key
			continue
		}
		common := 0
		for i, j := 0, 0; i < len(x) && j < len(y); {
			switch {
			case x[i].Timestamp < y[j].Timestamp:
				i++
			case x[i].Timestamp > y[j].Timestamp:
				j++
			default:
				compared++
				if off := apart(float64(x[i].Value), float64(y[j].Value)); off > tolerance {
					values++
					if off > worst {
						worst, where = off, fmt.Sprintf("%s at %s: %v is %v", key, x[i].Timestamp, x[i].Value, y[j].Value)
					}
				}
				common, i, j = common+1, i+1, j+1
			}
		}
		if n := len(x) + len(y) - 2*common; n > 0 {
			times += n
			if worst == 0 {
				where = key
			}
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			more++
			where = key
		}
	}
	if missing+more+times+values == 0 {
		return ""
	}
	var found []string
	for _, f := range []struct {
		n    int
		what string
	}{{missing, "series missing"}, {more, "series too many"}, {times, "points in one only"}} {
		if f.n > 0 {
			found = append(found, fmt.Sprintf("%d %s", f.n, f.what))
		}
	}
	if values > 0 {
		found = append(found, fmt.Sprintf("%d of %d points differ, at most by %.2g", values, compared, worst))
	}
	return strings.Join(found, ", ") + " (" + where + ")"
}

// apart is the difference of two values as a part of the larger one; 0 if neither is a
// number.
func apart(a, b float64) float64 {
	if a == b || math.IsNaN(a) && math.IsNaN(b) {
		return 0
	}
	off := math.Abs(a-b) / math.Max(math.Abs(a), math.Abs(b))
	if math.IsNaN(off) {
		return math.Inf(1)
	}
	return off
}
