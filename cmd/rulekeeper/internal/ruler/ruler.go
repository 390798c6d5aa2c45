// Package ruler has a ruler load its rules, and says how that went.
package ruler

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// answerTime is long, since a reload waits until the groups that it changes have
	// been evaluated.
	answerTime = 2 * time.Minute
	looks      = 3 // at the metric, before a failure is believed
	lastReload = "thanos_rule_config_last_reload_successful"
)

// ErrNotUp is that the ruler does not answer yet, or cannot now: nothing is wrong
// with the rules.
var ErrNotUp = errors.New("the ruler is not up")

// RefusedError is that the ruler did not load its rules.
type RefusedError struct {
	Words string // of the ruler
}

func (e *RefusedError) Error() string { return "the ruler refused the rules: " + e.Words }

// Ruler is a ruler that loads its rules when it is told. It may be used by several goroutines.
type Ruler struct {
	reload  string
	metrics string
	client  *http.Client
	pause   time.Duration // between two looks at the metric
}

// New takes the URL that a POST to makes a ruler load its rules.
func New(reload string, transport http.RoundTripper) (*Ruler, error) {
	at, err := url.Parse(reload)
	if err != nil {
		return nil, fmt.Errorf("read the reload URL: %w", err)
	}
	if (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" {
		return nil, fmt.Errorf("read the reload URL: %q is not http://HOST:PORT/PATH", at.Redacted())
	}
	// Thanos serves its metrics at the root, also where the rest has a prefix.
	metrics := url.URL{Scheme: at.Scheme, User: at.User, Host: at.Host, Path: "/metrics"}
	return &Ruler{reload: reload, metrics: metrics.String(), client: &http.Client{Transport: transport, Timeout: answerTime}, pause: time.Second}, nil
}

// Up says whether a ruler answers at all.
func (r *Ruler) Up(ctx context.Context) bool {
	answer, err := r.do(ctx, http.MethodGet, r.metrics)
	if err != nil {
		return false
	}
	discard(answer)
	return !away(answer.StatusCode)
}

// Reload returns when the ruler has loaded its rules. It returns ErrNotUp if there
// is none, and a *RefusedError if it would not.
func (r *Ruler) Reload(ctx context.Context) error {
	answer, err := r.do(ctx, http.MethodPost, r.reload)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotUp, cause(err))
	}
	defer discard(answer)
	if away(answer.StatusCode) {
		return fmt.Errorf("%w: it answers %s", ErrNotUp, answer.Status)
	}
	if answer.StatusCode/100 != 2 {
		words, _ := io.ReadAll(io.LimitReader(answer.Body, 4096))
		return &RefusedError{strings.TrimSpace(answer.Status + ": " + string(words))}
	}
	return r.believe(ctx)
}

// believe asks the ruler's own metric. A ruler without the metric is believed.
func (r *Ruler) believe(ctx context.Context) error {
	for look := 1; ; look++ {
		failed, err := r.says(ctx, lastReload+" 0")
		if err != nil || !failed {
			return nil //nolint:nilerr // it answered that it has loaded its rules; the metric is a second opinion
		}
		if look == looks {
			return &RefusedError{"its metric " + lastReload + " is 0"}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotUp, ctx.Err())
		case <-time.After(r.pause):
		}
	}
}

// says tells whether a line is among the ruler's metrics.
func (r *Ruler) says(ctx context.Context, line string) (bool, error) {
	answer, err := r.do(ctx, http.MethodGet, r.metrics)
	if err != nil {
		return false, err
	}
	defer discard(answer)
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if lines.Text() == line {
			return true, nil
		}
	}
	return false, lines.Err()
}

func (r *Ruler) do(ctx context.Context, method, at string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, at, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the ruler: %w", err)
	}
	return r.client.Do(request)
}

// cause leaves out addresses, where a port is another every time: what is the same
// is to read the same.
func cause(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// away tells the answers of one that is starting, or of a proxy before one that is not there.
func away(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// discard reads a little of a body, so that the connection can be used again.
func discard(answer *http.Response) {
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10)
	answer.Body.Close()
}
