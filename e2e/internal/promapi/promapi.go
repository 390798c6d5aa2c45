// Package promapi asks a Prometheus server, or a Thanos querier, for samples.
package promapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	base   string
	params url.Values // sent with every query
}

// New returns a client of a Prometheus server at address (host:port).
func New(address string) *Client { return &Client{base: "http://" + address} }

// NewThanos returns a client of a Thanos querier. A query fails when a store
// does not answer: a partial answer would hide what is missing. dedup says
// whether series that differ in replica labels only are one.
func NewThanos(address string, dedup bool) *Client {
	c := New(address)
	c.params = url.Values{
		"dedup":            {strconv.FormatBool(dedup)},
		"partial_response": {"false"},
	}
	return c
}

// With returns a client that sends a parameter more with every query.
func (c *Client) With(name, value string) *Client {
	params := maps.Clone(c.params)
	if params == nil {
		params = url.Values{}
	}
	params.Set(name, value)
	return &Client{base: c.base, params: params}
}

// Vector evaluates an instant query now.
func (c *Client) Vector(ctx context.Context, query string) (model.Vector, error) {
	var v model.Vector
	err := c.query(ctx, url.Values{"query": {query}}, "vector", &v)
	return v, err
}

// VectorAt evaluates an instant query at a time.
func (c *Client) VectorAt(ctx context.Context, query string, at time.Time) (model.Vector, error) {
	var v model.Vector
	err := c.query(ctx, url.Values{"query": {query}, "time": {seconds(at)}}, "vector", &v)
	return v, err
}

// Range evaluates a query at each step between two times.
func (c *Client) Range(ctx context.Context, query string, from, to time.Time, step time.Duration) (model.Matrix, error) {
	params := url.Values{
		"query": {query}, "start": {seconds(from)}, "end": {seconds(to)},
		"step": {strconv.FormatFloat(step.Seconds(), 'f', 3, 64)},
	}
	var data struct{ Result model.Matrix }
	if err := c.Get(ctx, "/api/v1/query_range", params, &data); err != nil {
		return nil, fmt.Errorf("query %s from %s to %s: %w", query, params.Get("start"), params.Get("end"), err)
	}
	return data.Result, nil
}

// seconds is a time as the API takes it, to the millisecond.
func seconds(t time.Time) string {
	return fmt.Sprintf("%d.%03d", t.Unix(), t.Nanosecond()/int(time.Millisecond))
}

// Matrix evaluates a range selector, such as up[5m], now: the samples as they
// are stored.
func (c *Client) Matrix(ctx context.Context, query string) (model.Matrix, error) {
	var m model.Matrix
	err := c.query(ctx, url.Values{"query": {query}}, "matrix", &m)
	return m, err
}

// By evaluates an instant query and returns its values by a label. Samples
// that share the label's value are an error.
func (c *Client) By(ctx context.Context, label model.LabelName, query string) (map[string]float64, error) {
	v, err := c.Vector(ctx, query)
	if err != nil {
		return nil, err
	}
	out := make(map[string]float64, len(v))
	for _, s := range v {
		key := string(s.Metric[label])
		if _, twice := out[key]; twice {
			return nil, fmt.Errorf("query %s: two samples with %s=%q", query, label, key)
		}
		out[key] = float64(s.Value)
	}
	return out, nil
}

func (c *Client) query(ctx context.Context, params url.Values, want string, into any) error {
	query := params.Get("query")
	var data struct {
		ResultType string          `json:"resultType"`
		Result     json.RawMessage `json:"result"`
	}
	if err := c.Get(ctx, "/api/v1/query", params, &data); err != nil {
		return fmt.Errorf("query %s: %w", query, err)
	}
	if data.ResultType != want {
		return fmt.Errorf("query %s: answered a %s, not a %s", query, data.ResultType, want)
	}
	if err := json.Unmarshal(data.Result, into); err != nil {
		return fmt.Errorf("query %s: %w", query, err)
	}
	return nil
}

// Get calls an endpoint of the API and decodes the data of its answer. A
// warning is an error, too: nothing that these tests ask deserves one.
func (c *Client) Get(ctx context.Context, path string, params url.Values, into any) error {
	form := url.Values{}
	for _, values := range []url.Values{c.params, params} {
		for k, v := range values {
			form[k] = v
		}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+form.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	var answer struct {
		Status   string          `json:"status"`
		Error    string          `json:"error"`
		Warnings []string        `json:"warnings"`
		Data     json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("answered %s: %.200s", resp.Status, body)
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("answered %s: %s%s", resp.Status, answer.Error, strings.Join(answer.Warnings, "; "))
	}
	return json.Unmarshal(answer.Data, into)
}
