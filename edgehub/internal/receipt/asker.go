package receipt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// maxAnswer bounds what is read of an answer to a query. A receipt takes some 30 bytes.
	maxAnswer = 1 << 20
	// maxWords bounds what is kept of a server's words.
	maxWords = 200
	// defaultTimeout bounds a request.
	defaultTimeout = 5 * time.Second
	// margin is how much earlier than the request that the hub saw a scrape may have
	// begun, and with it the time of its receipt.
	margin = 10 * time.Second
)

// ErrNoQueries says that the server does not answer such queries and, as it is set up, never
// will: it is an agent, or not a Prometheus, or wants other credentials.
var ErrNoQueries = errors.New("the server does not answer queries")

// Asker asks one server. It may be used concurrently.
type Asker struct {
	base    *url.URL
	client  http.Client
	timeout time.Duration
	clock   clock
}

// String is the server's URL, without a password.
func (a *Asker) String() string { return a.base.Redacted() }

// NewAsker returns one that asks the server with a URL, which may have a path in front
// of the API's. The client brings credentials and certificates; nil is one without.
// No request takes longer than timeout, 0 means 5 s.
func NewAsker(server string, client *http.Client, timeout time.Duration) (*Asker, error) {
	base, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("the URL of a server: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, fmt.Errorf("the URL of a server: %q is not of the form http://HOST:PORT or https://HOST:PORT", base.Redacted())
	}
	if base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the URL of a server: %q has a query or a fragment; give the part in front of /api/v1 only", base.Redacted())
	}
	a := &Asker{base: base, timeout: timeout}
	if client != nil {
		a.client = *client
	}
	if a.timeout <= 0 {
		a.timeout = defaultTimeout
	}
	a.client.CheckRedirect = sameServer
	return a, nil
}

// sameServer follows redirects only within the server: a round tripper puts credentials on
// whatever request it is given.
func sameServer(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	if r.URL.Host != first.Host || r.URL.Scheme != first.Scheme || len(via) > 3 {
		return http.ErrUseLastResponse
	}
	return nil
}

// Seen returns the numbers of the receipts that the server has of scrapes that began since
// a time, or a little earlier, in ascending order.
//
// It asks for a range: a failed scrape puts a stale marker behind the last receipt, and a
// query for one moment would find that.
func (a *Asker) Seen(ctx context.Context, l Labels, since time.Time) ([]Number, error) {
	back := max(time.Since(since), 0) + margin
	query := fmt.Sprintf("%s[%ds]", l.selector(), int64(math.Ceil(back.Seconds())))
	series, err := a.query(ctx, url.Values{"query": {query}})
	if err != nil {
		return nil, err
	}
	var seen []Number
	for _, s := range series {
		for _, v := range s.Values {
			if n, ok := parseNumber(v.value); ok {
				seen = append(seen, n)
			}
		}
	}
	slices.Sort(seen)
	return slices.Compact(seen), nil
}

// Has says whether the server has a sample of the series that a selector selects, at a time
// in milliseconds and with a value.
func (a *Asker) Has(ctx context.Context, selector string, ms int64, value float64) (bool, error) {
	series, err := a.query(ctx, url.Values{
		"query": {selector + "[1s]"},
		"time":  {fmt.Sprintf("%d.%03d", ms/1000, ms%1000)},
	})
	if err != nil {
		return false, err
	}
	for _, s := range series {
		for _, v := range s.Values {
			got, err := strconv.ParseFloat(v.value, 64)
			if err == nil && v.ms == ms && (got == value || math.IsNaN(got) && math.IsNaN(value)) {
				return true, nil
			}
		}
	}
	return false, nil
}

// matrix is the result of a range selector.
type matrix []struct {
	Values []sample `json:"values"`
}

// sample is a time and a value's text.
type sample struct {
	ms    int64
	value string
}

func (s *sample) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &[]any{&seconds, &s.value}); err != nil {
		return err
	}
	s.ms = int64(math.Round(seconds * 1000))
	return nil
}

// query evaluates a range selector.
func (a *Asker) query(ctx context.Context, params url.Values) (matrix, error) {
	var answer struct {
		Status string `json:"status"`
		Data   struct {
			ResultType string `json:"resultType"`
			Result     matrix `json:"result"`
		} `json:"data"`
	}
	err := a.get(ctx, "/api/v1/query", params, func(_ http.Header, body io.Reader) error {
		return decode(body, &answer)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("query %s: %w", params.Get("query"), err)
	case answer.Status != "success" || answer.Data.ResultType != "matrix":
		return nil, fmt.Errorf("query %s: answered a %q with status %q, not a matrix with success",
			params.Get("query"), words(answer.Data.ResultType), words(answer.Status))
	}
	return answer.Data.Result, nil
}

// decode reads one value that is not too long.
func decode(body io.Reader, into any) error {
	content, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if len(content) > maxAnswer {
		return fmt.Errorf("read the answer: it has more than %d bytes", maxAnswer)
	}
	if err := json.Unmarshal(content, into); err != nil {
		return fmt.Errorf("answered %q: %w", words(string(content)), err)
	}
	return nil
}

// get requests a path below the server's URL and gives a good answer's body to read.
func (a *Asker) get(ctx context.Context, path string, params url.Values, read func(http.Header, io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	u := a.base.JoinPath(path)
	u.RawQuery = params.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return err
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return withoutURL(err)
	}
	defer resp.Body.Close()
	a.clock.note(resp.Header)
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if err := read(resp.Header, resp.Body); err != nil {
		return err
	}
	// The end of the body is still to be read, or the connection would not be kept.
	_, _ = io.CopyN(io.Discard, resp.Body, 512)
	return nil
}

// withoutURL takes the URL out of a client's error: it may hold a password, and
// the query, which is said already.
func withoutURL(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}

// refusal is the error that a status means.
func refusal(resp *http.Response) error {
	said := fmt.Errorf("answered %s%s", resp.Status, said(resp))
	switch code := resp.StatusCode; {
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code >= 500:
		return said // it may pass
	default:
		return fmt.Errorf("%w: %w", ErrNoQueries, said)
	}
}

// said is what the answer says in words, or where it sends the client.
func said(resp *http.Response) string {
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		return fmt.Sprintf(" to %q, which is not followed", words(to))
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Error == "" {
		answer.Error = string(body)
	}
	if answer.Error = words(answer.Error); answer.Error == "" {
		return ""
	}
	return ": " + answer.Error
}

// words bounds the words of a server: at most 200 bytes on one line.
func words(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text[:min(len(text), 4*maxWords)], "")), " ")
	if len(text) > maxWords {
		text = strings.ToValidUTF8(text[:maxWords-len("…")], "") + "…"
	}
	return text
}
