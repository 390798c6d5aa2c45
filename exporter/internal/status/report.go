package status

import (
	"net/url"
	"regexp"
	"time"
)

// Report is the exporter at one moment. The comment of exporter.Handler says what the names in
// JSON mean: they are promised.
type Report struct {
	Time    time.Time `json:"time"`
	State   string    `json:"state"`
	Ring    Ring      `json:"ring"`
	Members Members   `json:"members"`
	Hubs    []Hub     `json:"hubs"`
	Queue   Queue     `json:"queue"`
	Totals  Totals    `json:"totals"`
	Ends    Ends      `json:"ends"`
	Config  Config    `json:"config"`
	Gateway *Gateway  `json:"gateway,omitempty"`
}

// Ring tells rings apart.
type Ring struct {
	Fingerprint string `json:"fingerprint"`
	Hubs        int    `json:"hubs"`
}

// Members is where the hubs come from.
type Members struct {
	Source          string    `json:"source"`
	Detail          string    `json:"detail"`
	IntervalSeconds float64   `json:"interval_seconds"`
	HoldSeconds     float64   `json:"hold_seconds"`
	Lookups         uint64    `json:"lookups"`
	Failures        uint64    `json:"failures"`
	Changes         uint64    `json:"changes"`
	LastSuccess     time.Time `json:"last_success,omitzero"`
	LastChange      time.Time `json:"last_change,omitzero"`
	LastError       string    `json:"last_error,omitempty"`
	Held            []string  `json:"held"`
	Fresh           []string  `json:"fresh"`
}

// Hub is one hub, and how it is treated.
type Hub struct {
	Name             string    `json:"name"`
	CallsItself      string    `json:"calls_itself,omitempty"`
	URL              string    `json:"url"`
	Weight           float64   `json:"weight"`
	State            string    `json:"state"`
	DownSince        time.Time `json:"down_since,omitzero"`
	NextProbe        time.Time `json:"next_probe,omitzero"`
	Failures         int       `json:"failures"`
	QueuedSamples    int       `json:"queued_samples"`
	QueuedBytes      int       `json:"queued_bytes"`
	Requests         int       `json:"requests"`
	HeldGateways     int       `json:"held_gateways"`
	SentSamples      uint64    `json:"sent_samples"`
	DeliveredSamples uint64    `json:"delivered_samples"`
	ReroutedSamples  uint64    `json:"rerouted_samples"`
	LastError        string    `json:"last_error,omitempty"`
	LastErrorAt      time.Time `json:"last_error_at,omitzero"`
}

// Queue is what waits.
type Queue struct {
	Samples       int     `json:"samples"`
	Bytes         int     `json:"bytes"`
	MaxBytes      int     `json:"max_bytes"`
	OldestSeconds float64 `json:"oldest_seconds"`
	SpoolSamples  int     `json:"spool_samples"`
	SpoolError    string  `json:"spool_error,omitempty"`
	Gateways      int     `json:"gateways"`
}

// Totals are in samples, since the start.
type Totals struct {
	Submitted uint64            `json:"submitted"`
	Restored  uint64            `json:"restored"`
	Spilled   uint64            `json:"spilled"`
	Delivered uint64            `json:"delivered"`
	Dropped   map[string]uint64 `json:"dropped"`
}

// Ends are of gateways that went to another hub.
type Ends struct {
	Told        uint64         `json:"told"`
	Dropped     uint64         `json:"dropped"`
	Unsupported uint64         `json:"unsupported"`
	Overtaken   uint64         `json:"overtaken"`
	Waiting     map[string]int `json:"waiting"`
	Deaf        []string       `json:"deaf"`
}

// Config is what was chosen.
type Config struct {
	Failover            string  `json:"failover"`
	Overflow            string  `json:"overflow"`
	Receivers           string  `json:"receivers"`
	TellsEnds           bool    `json:"tells_ends"`
	EndsDelaySeconds    float64 `json:"ends_delay_seconds"`
	AsGauges            bool    `json:"as_gauges"`
	GatherSources       int     `json:"gather_sources"`
	SpoolDir            string  `json:"spool_dir"`
	MaxSpoolBytes       int64   `json:"max_spool_bytes"`
	Senders             int     `json:"senders"`
	BatchBytes          int     `json:"batch_bytes"`
	BatchWaitSeconds    float64 `json:"batch_wait_seconds"`
	PushTimeoutSeconds  float64 `json:"push_timeout_seconds"`
	FlushTimeoutSeconds float64 `json:"flush_timeout_seconds"`
	MinBackoffSeconds   float64 `json:"min_backoff_seconds"`
	MaxBackoffSeconds   float64 `json:"max_backoff_seconds"`
	CatchUp             float64 `json:"catch_up,omitzero"`
}

// Gateway is one gateway, and where its samples go.
type Gateway struct {
	ID            string    `json:"id"`
	Owner         string    `json:"owner"`
	InUse         string    `json:"in_use"`
	Walk          []Step    `json:"walk"`
	QueuedSamples int       `json:"queued_samples"`
	UnderWay      bool      `json:"under_way"`
	HeldUntil     time.Time `json:"held_until,omitzero"`
	At            string    `json:"at"`
	Untold        []Untold  `json:"untold"`
}

// Untold is an end of which a hub is not told yet.
type Untold struct {
	Hub     string    `json:"hub"`
	EndedAt time.Time `json:"ended_at"`
}

// Step is a hub of a gateway's walk.
type Step struct {
	Hub   string `json:"hub"`
	State string `json:"state"`
}

// presentable makes times, lists and texts of a report fit to be shown.
func (r *Report) presentable() {
	for _, t := range []*time.Time{&r.Time, &r.Members.LastSuccess, &r.Members.LastChange} {
		*t = stamp(*t)
	}
	r.Members.Held, r.Members.Fresh, r.Ends.Deaf = orEmpty(r.Members.Held), orEmpty(r.Members.Fresh), orEmpty(r.Ends.Deaf)
	r.Members.Detail, r.Members.LastError = withoutCredentials(r.Members.Detail), withoutCredentials(r.Members.LastError)
	for i := range r.Hubs {
		h := &r.Hubs[i]
		h.DownSince, h.NextProbe, h.LastErrorAt = stamp(h.DownSince), stamp(h.NextProbe), stamp(h.LastErrorAt)
		h.URL, h.LastError = redacted(h.URL), withoutCredentials(h.LastError)
	}
	if g := r.Gateway; g != nil {
		g.HeldUntil = stamp(g.HeldUntil)
		for i := range g.Untold {
			g.Untold[i].EndedAt = stamp(g.Untold[i].EndedAt)
		}
	}
}

// stamp is t as it is shown.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// orEmpty makes nil [] in JSON.
func orEmpty(names []string) []string { return append([]string{}, names...) }

// redacted is a hub's URL without a password. Validate lets none pass; that is
// one place to be wrong in.
func redacted(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Redacted()
}

var credentials = regexp.MustCompile(`(://)[^/?#\s"]*@`)

// withoutCredentials takes what may be a password out of the URLs in an error: a
// transport or a Membership of the embedder's own may say anything.
func withoutCredentials(text string) string { return credentials.ReplaceAllString(text, "$1***@") }
