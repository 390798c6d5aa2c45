package receipt

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxTargets bounds what is read of a list of targets. It is read target by target.
const maxTargets = 64 << 20

// Kind is what a server has against a response.
type Kind uint8

// What there can be.
const (
	Unknown Kind = iota // it says nothing, or nothing that is understood
	Size                // there was too much of it
	Content             // something in it
	Lost                // it did not arrive whole
)

// Why is what a server says of its last scrape of a target.
type Why struct {
	Found   bool // it has such a target
	Healthy bool
	Kind    Kind
	Reason  string    // a word for a metric's label: sample_limit, label_limit, ...; or ""
	Metric  string    // the name of the metric that it is about, of a long one the first 50 characters; or ""
	Text    string    // the server's words, at most 200 bytes
	Started time.Time // when the scrape began, by the clock of this process, exact to about a second
}

// Why asks for the last scrape of the target that is scraped at a host, as its
// requests name it, by a request URI (path and query). Prometheus writes the result down
// before it commits the samples, so a healthy target says nothing of a full disk.
func (a *Asker) Why(ctx context.Context, host, requestURI string) (Why, error) {
	want, err := url.ParseRequestURI(requestURI)
	if err != nil {
		return Why{}, fmt.Errorf("look up a target: %w", err)
	}
	var last *target
	var date time.Time
	err = a.get(ctx, "/api/v1/targets", url.Values{"state": {"active"}}, func(h http.Header, body io.Reader) error {
		date, _ = http.ParseTime(h.Get("Date"))
		return targets(io.LimitReader(body, maxTargets), func(t *target) {
			if t.is(host, want) && (last == nil || t.LastScrape.After(last.LastScrape)) {
				last = t
			}
		})
	})
	if err != nil {
		return Why{}, fmt.Errorf("look up the target %s%s: %w", host, requestURI, err)
	}
	if last == nil {
		return Why{}, nil
	}
	w := classify(last.LastError)
	w.Found, w.Healthy, w.Started = true, last.Health == "up", last.LastScrape
	if !date.IsZero() {
		w.Started = time.Now().Add(last.LastScrape.Sub(date))
	}
	return w, nil
}

// target is one in the server's list.
type target struct {
	ScrapeURL  string    `json:"scrapeUrl"`
	LastError  string    `json:"lastError"`
	LastScrape time.Time `json:"lastScrape"`
	Health     string    `json:"health"`
}

// is tells whether it is scraped so. The order of parameters does not matter.
func (t *target) is(host string, want *url.URL) bool {
	u, err := url.Parse(t.ScrapeURL)
	return err == nil && strings.EqualFold(u.Host, host) && u.Path == want.Path &&
		u.Query().Encode() == want.Query().Encode()
}

// targets reads the active targets in an answer.
func targets(body io.Reader, each func(*target)) error {
	d := json.NewDecoder(body)
	err := enter(d, '{', "data")
	if err == nil {
		err = enter(d, '{', "activeTargets")
	}
	if err == nil {
		err = enter(d, '[', "")
	}
	for err == nil && d.More() {
		t := new(target)
		if err = d.Decode(t); err == nil {
			each(t)
		}
	}
	if err != nil {
		return fmt.Errorf("read the list of targets: %w", err)
	}
	return nil
}

// enter reads the beginning of an object or a list, and of an object all that comes before
// the value with a name.
func enter(d *json.Decoder, begin json.Delim, name string) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != begin {
		return fmt.Errorf("%q instead of %q", words(fmt.Sprint(t)), begin)
	}
	for name != "" {
		if !d.More() {
			return fmt.Errorf("an object without %q", name)
		}
		if t, err = d.Token(); err != nil {
			return err
		}
		if t == name {
			return nil
		}
		var skipped json.RawMessage
		if err := d.Decode(&skipped); err != nil {
			return err
		}
	}
	return nil
}
