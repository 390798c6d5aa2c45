package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// pollInterval is how often a program is asked whether it is ready.
const pollInterval = 25 * time.Millisecond

// Until calls try until it returns nil. When the context ends it gives up with
// the last error of before.
func Until(ctx context.Context, try func() error) error {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var last error
	for {
		err := try()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w (%w)", last, ctx.Err())
		case <-tick.C:
		}
	}
}

// until is Until for something that only a living program can do.
func (p *Process) until(ctx context.Context, what string, try func() error) error {
	ended := false
	err := Until(ctx, func() error {
		select {
		case <-p.done:
			ended = true
			return nil
		default:
			return try()
		}
	})
	if ended {
		err = errors.New("it ended with status 0")
		if p.err != nil {
			err = fmt.Errorf("it ended (%w)", p.err)
		}
	}
	if err != nil {
		return fmt.Errorf("await that %s %s: %w; its log ends:\n%s", p.name, what, err, p.LogTail(2000))
	}
	return nil
}

// WaitHTTP waits until a GET of the URL answers 200.
func (p *Process) WaitHTTP(ctx context.Context, url string) error {
	return p.until(ctx, "answers "+url, func() error { return get(ctx, url) })
}

func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s: %s", resp.Status, body)
	}
	return nil
}

// WaitLog waits until a line of the log matches and returns the submatches.
func (p *Process) WaitLog(ctx context.Context, re *regexp.Regexp) ([]string, error) {
	var match []string
	err := p.until(ctx, fmt.Sprintf("logs %q", re), func() error {
		if match = re.FindStringSubmatch(p.Log()); match == nil {
			return fmt.Errorf("no line matches yet")
		}
		return nil
	})
	return match, err
}

// listening is what exporter-toolkit logs when it has its socket.
var listening = regexp.MustCompile(`msg="Listening on" (?:[^\n]* )?address=([0-9.]+:[0-9]+)`)

// WaitListening waits until a program on exporter-toolkit says where it
// listens, and returns that address.
func (p *Process) WaitListening(ctx context.Context) (string, error) {
	match, err := p.WaitLog(ctx, listening)
	if err != nil {
		return "", err
	}
	return match[1], nil
}
