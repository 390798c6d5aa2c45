package exporter

import (
	"cmp"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hubring/hubring/exporter/internal/encode"
)

// status is the exporter at one moment. Handler's comment says what the names in
// JSON mean: they are promised.
type status struct {
	Time    time.Time        `json:"time"`
	State   string           `json:"state"`
	Ring    ringStatus       `json:"ring"`
	Members membershipStatus `json:"members"`
	Hubs    []hubStatus      `json:"hubs"`
	Queue   queueStatus      `json:"queue"`
	Totals  totalsStatus     `json:"totals"`
	Ends    endsStatus       `json:"ends"`
	Config  configStatus     `json:"config"`
	Gateway *gatewayStatus   `json:"gateway,omitempty"`
}

type ringStatus struct {
	Fingerprint string `json:"fingerprint"`
	Hubs        int    `json:"hubs"`
}

type membershipStatus struct {
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

type hubStatus struct {
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

type queueStatus struct {
	Samples       int     `json:"samples"`
	Bytes         int     `json:"bytes"`
	MaxBytes      int     `json:"max_bytes"`
	OldestSeconds float64 `json:"oldest_seconds"`
	SpoolSamples  int     `json:"spool_samples"`
	Gateways      int     `json:"gateways"`
}

type totalsStatus struct {
	Submitted uint64            `json:"submitted"`
	Restored  uint64            `json:"restored"`
	Spilled   uint64            `json:"spilled"`
	Delivered uint64            `json:"delivered"`
	Dropped   map[string]uint64 `json:"dropped"`
}

type endsStatus struct {
	Told        uint64         `json:"told"`
	Dropped     uint64         `json:"dropped"`
	Unsupported uint64         `json:"unsupported"`
	Overtaken   uint64         `json:"overtaken"`
	Waiting     map[string]int `json:"waiting"`
	Deaf        []string       `json:"deaf"`
}

type configStatus struct {
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

type gatewayStatus struct {
	ID            string     `json:"id"`
	Owner         string     `json:"owner"`
	InUse         string     `json:"in_use"`
	Walk          []walkStep `json:"walk"`
	QueuedSamples int        `json:"queued_samples"`
	UnderWay      bool       `json:"under_way"`
	HeldUntil     time.Time  `json:"held_until,omitzero"`
	At            string     `json:"at"`
	Untold        []untold   `json:"untold"`
}

// untold is an end of which a hub is not told yet.
type untold struct {
	Hub     string    `json:"hub"`
	EndedAt time.Time `json:"ended_at"`
}

// walkStep is a hub of a gateway's walk.
type walkStep struct {
	Hub   string `json:"hub"`
	State string `json:"state"`
}

// maxWalk bounds how much of a walk is shown: hashring sorts for more, and
// nobody gets so far.
const maxWalk = 12

// status is that of now. A gateway is looked up if there is one.
func (e *Exporter) status(now time.Time, gateway *string) status {
	at, g := e.router.look(now, gateway)
	s := status{
		Time:    stamp(now),
		State:   e.stateName(at.closed),
		Ring:    ringStatus{Hubs: len(at.hubs)},
		Members: e.membershipStatus(),
		Hubs:    make([]hubStatus, 0, len(at.hubs)),
		Queue: queueStatus{
			Samples: at.samples, Bytes: at.memoryBytes, MaxBytes: e.cfg.MaxQueueBytes,
			OldestSeconds: at.age.Seconds(), SpoolSamples: at.spoolSamples, Gateways: at.gateways,
		},
		Totals:  totalsOf(&at.account),
		Ends:    endsStatusOf(&at.ends),
		Config:  configStatusOf(&e.cfg),
		Gateway: g,
	}
	if at.ring == nil {
		return s
	}
	s.Ring.Fingerprint = fingerprintText(at.ring)
	weights := map[string]float64{}
	for _, node := range at.ring.Nodes() {
		weights[node.Name] = cmp.Or(node.Weight, 1)
	}
	for i := range at.hubs {
		h := &at.hubs[i]
		s.Hubs = append(s.Hubs, hubStatusOf(h, weights[h.name], at.account.hubs[h.name]))
	}
	slices.SortFunc(s.Hubs, func(a, b hubStatus) int { return strings.Compare(a.Name, b.Name) })
	return s
}

func (e *Exporter) stateName(closed bool) string {
	switch {
	case closed:
		return "closed"
	case e.ran.Load():
		return "running"
	}
	return "new"
}

// look returns the router at one moment and, if one is asked for, a gateway at
// the same.
func (r *router) look(now time.Time, gateway *string) (snapshot, *gatewayStatus) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gateway == nil {
		return r.snapshotLocked(now), nil
	}
	return r.snapshotLocked(now), r.gatewayLocked(*gateway, now)
}

// gatewayLocked says where a gateway's samples go.
func (r *router) gatewayLocked(id string, now time.Time) *gatewayStatus {
	g := &gatewayStatus{ID: id, InUse: r.routeLocked(id).hub.Name, Walk: []walkStep{}, Untold: []untold{}}
	if l := r.lanes[id]; l != nil {
		g.QueuedSamples, g.UnderWay, g.HeldUntil = l.samples, l.busy > 0, stamp(l.until)
	}
	if s := r.ends.stays[id]; s != nil {
		if s.at != nil {
			g.At = s.at.hub.Name
		}
		for _, e := range s.left {
			if e.at != noTime {
				g.Untold = append(g.Untold, untold{e.to.hub.Name, stamp(time.UnixMilli(e.at))})
			}
		}
	}
	if r.ring == nil {
		return g
	}
	g.Owner = r.ring.Owner(id).Name
	for node := range r.ring.Walk(id) {
		g.Walk = append(g.Walk, walkStep{Hub: node.Name, State: stateWord(r.stateLocked(r.byName[node.Name], now))})
		if len(g.Walk) == maxWalk {
			break
		}
	}
	return g
}

func (e *Exporter) membershipStatus() membershipStatus {
	if e.watcher == nil {
		return membershipStatus{Source: "config", Held: []string{}, Fresh: []string{}}
	}
	w := e.watcher.Status()
	source, detail := sourceName(e.cfg.Members)
	return membershipStatus{
		Source:          source,
		Detail:          withoutCredentials(detail),
		IntervalSeconds: e.cfg.MembersInterval.Seconds(),
		HoldSeconds:     e.cfg.MembersHold.Seconds(),
		Lookups:         w.Lookups,
		Failures:        w.Failures,
		Changes:         w.Changes,
		LastSuccess:     stamp(w.LastSuccess),
		LastChange:      stamp(w.LastChange),
		LastError:       withoutCredentials(w.LastError),
		Held:            orEmpty(w.Held),
		Fresh:           orEmpty(w.Fresh),
	}
}

// sourceName says what a Membership is.
func sourceName(m Membership) (source, detail string) {
	type described interface {
		Describe() (source, detail string)
	}
	if m, ok := m.(described); ok {
		return m.Describe()
	}
	return "other", fmt.Sprintf("%T", m)
}

func hubStatusOf(h *hubSnapshot, weight float64, account *hubAccount) hubStatus {
	return hubStatus{
		Name:             h.name,
		CallsItself:      h.calls,
		URL:              redacted(h.url),
		Weight:           weight,
		State:            stateWord(h.state),
		DownSince:        stamp(h.since),
		NextProbe:        stamp(h.retryAt),
		Failures:         h.failures,
		QueuedSamples:    h.samples,
		QueuedBytes:      h.bytes,
		Requests:         h.requests,
		HeldGateways:     h.held,
		SentSamples:      account.sent,
		DeliveredSamples: account.delivered,
		ReroutedSamples:  account.rerouted,
		LastError:        withoutCredentials(h.lastError),
		LastErrorAt:      stamp(h.lastErrorAt),
	}
}

func totalsOf(a *account) totalsStatus {
	t := totalsStatus{Submitted: a.submitted, Restored: a.restored, Spilled: a.spilled, Dropped: map[string]uint64{}}
	for _, h := range a.hubs {
		t.Delivered += h.delivered
	}
	for why, n := range a.dropped {
		if n > 0 && reason(why) != reason(encode.Taken) {
			t.Dropped[reason(why).String()] = n
		}
	}
	return t
}

func endsStatusOf(s *endsSnapshot) endsStatus {
	return endsStatus{
		Told: s.fates[endTold], Dropped: s.fates[endDropped], Unsupported: s.fates[endUnsupported], Overtaken: s.fates[endOvertaken],
		Waiting: s.byHub, Deaf: orEmpty(s.deaf),
	}
}

func configStatusOf(c *Config) configStatus {
	s := configStatus{
		Failover:            "next_hub",
		Overflow:            "refuse_new",
		Receivers:           "hubs_only",
		TellsEnds:           !c.NoEnds,
		EndsDelaySeconds:    c.EndsDelay.Seconds(),
		AsGauges:            c.AsGauges,
		GatherSources:       len(c.Gather),
		SpoolDir:            c.SpoolDir,
		MaxSpoolBytes:       c.SpoolBytes,
		Senders:             c.Senders,
		BatchBytes:          c.BatchBytes,
		BatchWaitSeconds:    c.BatchWait.Seconds(),
		PushTimeoutSeconds:  c.PushTimeout.Seconds(),
		FlushTimeoutSeconds: c.FlushTimeout.Seconds(),
		MinBackoffSeconds:   c.MinBackoff.Seconds(),
		MaxBackoffSeconds:   c.MaxBackoff.Seconds(),
		CatchUp:             c.CatchUp,
	}
	if c.Failover == WaitForOwner {
		s.Failover = "wait_for_owner"
	}
	if c.Receivers == HubsAndOthers {
		s.Receivers = "hubs_and_others"
	}
	if c.Overflow == DropOldest {
		s.Overflow = "drop_oldest"
	}
	if math.IsInf(c.CatchUp, 1) { // JSON has no word for it
		s.CatchUp = 0
	}
	return s
}

// stateWord is a state as JSON has it: up, catching_up or down.
func stateWord(s hubState) string { return strings.ReplaceAll(s.String(), " ", "_") }

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
