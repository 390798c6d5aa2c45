package exporter

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/hashring"
)

// The defaults of Config.
const (
	DefaultMaxQueueBytes = 64 << 20
	DefaultBatchBytes    = 1 << 20
	DefaultBatchWait     = 200 * time.Millisecond
	DefaultPushTimeout   = 10 * time.Second
	DefaultFlushTimeout  = 10 * time.Second
	DefaultMinBackoff    = 250 * time.Millisecond
	DefaultMaxBackoff    = 10 * time.Second
)

// Hub is one place to push to.
type Hub struct {
	// Name is the hub's identity in the ring. It must be the same from every
	// controller and outlive restarts: a StatefulSet's DNS name, not an
	// address. The default is the host (and port) of URL.
	Name string
	// URL is the base, such as http://edgehub-0:9091. Samples are pushed to
	// URL/metrics, and URL/-/ready is asked when the hub was down.
	URL string
	// Weight is the hub's share relative to the others'; 0 means 1.
	Weight float64
}

// Config says where to push and within which bounds. Only Hubs is needed: a
// field that is zero has the default named in its comment.
type Config struct {
	// Hubs are the members of the ring, in any order.
	Hubs []Hub

	// MaxQueueBytes bounds the memory of samples that are queued or in
	// flight; 64 MiB. Beside it each hub's sender keeps one request of about
	// BatchBytes and its compressed form, and each Submit under way what it
	// has encoded.
	MaxQueueBytes int
	// BatchBytes is the size up to which parcels are joined into a request,
	// before compression; 1 MiB. A larger parcel is sent alone.
	BatchBytes int
	// BatchWait is how long a sample waits at most for others to share its
	// request; 200 ms.
	BatchWait time.Duration

	// PushTimeout bounds one request, from connecting to its answer; 10 s.
	PushTimeout time.Duration
	// FlushTimeout is how long Run goes on sending when its context has
	// ended; 10 s.
	FlushTimeout time.Duration

	// MinBackoff is how long a hub is stepped over after its first failure,
	// doubled with each further one up to MaxBackoff; 250 ms and 10 s. Each
	// wait is shortened at random by up to a half. A longer Retry-After, up to
	// a minute, takes its place.
	MinBackoff, MaxBackoff time.Duration

	// Transport carries the requests. The default is one of the exporter's
	// own, with http.DefaultTransport's settings. It must be safe for use by
	// several goroutines.
	Transport http.RoundTripper
	// Registerer takes the exporter's own metrics. They are not registered
	// anywhere when it is nil.
	Registerer prometheus.Registerer
	// Logger is told about hubs that come and go and about dropped samples;
	// slog.Default().
	Logger *slog.Logger
}

// withDefaults returns a copy with every zero field filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.MaxQueueBytes, DefaultMaxQueueBytes)
	setDefault(&c.BatchBytes, min(DefaultBatchBytes, max(c.MaxQueueBytes, 1)))
	setDefault(&c.BatchWait, DefaultBatchWait)
	setDefault(&c.PushTimeout, DefaultPushTimeout)
	setDefault(&c.FlushTimeout, DefaultFlushTimeout)
	if c.MinBackoff == 0 && c.MaxBackoff > 0 {
		c.MinBackoff = min(DefaultMinBackoff, c.MaxBackoff)
	}
	setDefault(&c.MinBackoff, DefaultMinBackoff)
	setDefault(&c.MaxBackoff, max(DefaultMaxBackoff, c.MinBackoff))
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	hubs := make([]Hub, len(c.Hubs))
	for i, h := range c.Hubs {
		h.URL = strings.TrimRight(h.URL, "/")
		if h.Name == "" {
			if u, err := url.Parse(h.URL); err == nil {
				h.Name = u.Host
			}
		}
		hubs[i] = h
	}
	c.Hubs = hubs
	return c
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Validate reports every problem of the config at once, joined by errors.Join.
// New calls it.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if len(c.Hubs) == 0 {
		problem("Hubs is empty: name at least one hub to push to")
	}
	nodes := make([]hashring.Node, len(c.Hubs))
	seen := map[string]int{}
	for i, h := range c.Hubs {
		nodes[i] = hashring.Node{Name: h.Name}
		if err := validateURL(h.URL); err != nil {
			problem("Hubs[%d] %q: %w", i, h.Name, err)
		} else if first, ok := seen[h.Name]; ok {
			problem("Hubs[%d] and Hubs[%d] have the same name %q: each hub needs its own", first, i, h.Name)
		} else {
			seen[h.Name] = i
		}
	}
	if len(errs) == 0 {
		if _, err := hashring.New(nodes); err != nil {
			errs = append(errs, err)
		}
	}

	if c.MaxQueueBytes < 0 {
		problem("MaxQueueBytes is %d: it must not be negative", c.MaxQueueBytes)
	}
	if c.BatchBytes < 0 {
		problem("BatchBytes is %d: it must not be negative", c.BatchBytes)
	}
	if c.MaxQueueBytes >= 0 && c.BatchBytes > c.MaxQueueBytes {
		problem("BatchBytes %d is larger than MaxQueueBytes %d: a full request would never come together", c.BatchBytes, c.MaxQueueBytes)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{
		{"BatchWait", c.BatchWait},
		{"PushTimeout", c.PushTimeout},
		{"FlushTimeout", c.FlushTimeout},
		{"MinBackoff", c.MinBackoff},
		{"MaxBackoff", c.MaxBackoff},
	} {
		if d.value < 0 {
			problem("%s is %s: it must not be negative", d.name, d.value)
		}
	}
	if c.MaxBackoff >= 0 && c.MinBackoff > c.MaxBackoff {
		problem("MinBackoff %s is longer than MaxBackoff %s", c.MinBackoff, c.MaxBackoff)
	}
	return errors.Join(errs...)
}

// validateURL accepts the base URL of a hub. The error never contains a
// password.
func validateURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("URL cannot be parsed: it must look like http://edgehub-0:9091")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("URL %q must begin with http:// or https://", u.Redacted())
	case u.Hostname() == "":
		return fmt.Errorf("URL %q has no host", u.Redacted())
	case u.User != nil:
		return fmt.Errorf("URL %q has a user: put credentials into a Transport", u.Redacted())
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return fmt.Errorf("URL %q has a query or a fragment: it must be a base to which /metrics is appended", u.Redacted())
	}
	return nil
}
