// Package status has the words for how an exporter is: what exporter.Exporter's Status returns, and what its
// Handler writes as JSON. The names in JSON are promised; more fields may come.
//
// A Report is a copy, and its reader's alone. Times are in UTC, to the millisecond, and zero if
// they never were. No text has a password.
package status

import "time"

// Report is an exporter at one moment, but for Members, which may be a moment older.
type Report struct {
	Time    time.Time `json:"time"`              // when it was so
	State   string    `json:"state"`             // new: Run was not called yet; running; or closed: Submit refuses
	Ring    Ring      `json:"ring"`              // of the hubs
	Members Members   `json:"members"`           // where the hubs come from
	Hubs    []Hub     `json:"hubs"`              // sorted by name
	Queue   Queue     `json:"queue"`             // what waits
	Totals  Totals    `json:"totals"`            // of samples
	Ends    Ends      `json:"ends"`              // of gateways that went to another hub
	Config  Config    `json:"config"`            // what was chosen
	Gateway *Gateway  `json:"gateway,omitempty"` // only if one was asked for
}

// Ring tells rings apart.
type Ring struct {
	Fingerprint string `json:"fingerprint"` // 16 hex digits; empty while no hub is known. Controllers with different ones disagree
	Hubs        int    `json:"hubs"`        // how many
	Method      string `json:"method"`      // how they became the ring, in the words of a list of hubs; config if that is Config.Ring, empty while no hub is known

	Placement *Placement `json:"placement,omitempty"` // only with Config.Inventory
}

// Placement is which gateways the ring has elsewhere than with their owners.
type Placement struct {
	Serial    uint64    `json:"serial"` // 0 before there is one
	Made      time.Time `json:"made,omitzero"`
	Moved     int       `json:"moved"`                // gateways that are not with their owners
	LastError string    `json:"last_error,omitempty"` // while what the inventory gives is not followed
}

// Members is where the hubs come from. Of those that are listed in the config it has the source only.
type Members struct {
	Source          string    `json:"source"` // config, dns, file, what a Membership of the embedder's calls itself, or other
	Detail          string    `json:"detail"` // which name or file
	IntervalSeconds float64   `json:"interval_seconds"`
	HoldSeconds     float64   `json:"hold_seconds"`
	Lookups         uint64    `json:"lookups"`
	Failures        uint64    `json:"failures"`
	Changes         uint64    `json:"changes"`
	LastSuccess     time.Time `json:"last_success,omitzero"`
	LastChange      time.Time `json:"last_change,omitzero"`
	LastError       string    `json:"last_error,omitempty"` // while lookups fail
	Held            []string  `json:"held"`                 // names that are not given any more and still in the ring
	Fresh           []string  `json:"fresh"`                // names that were given once and are not in the ring yet
}

// Hub is one hub, and how it is treated.
type Hub struct {
	Name             string    `json:"name"`
	CallsItself      string    `json:"calls_itself,omitempty"` // only if it says that it has another name: is its address right?
	URL              string    `json:"url"`
	Weight           float64   `json:"weight"`
	State            string    `json:"state"` // up, catching_up or down
	DownSince        time.Time `json:"down_since,omitzero"`
	NextProbe        time.Time `json:"next_probe,omitzero"` // of one that is down
	Failures         int       `json:"failures"`            // in a row
	QueuedSamples    int       `json:"queued_samples"`      // that wait for it, without those in requests
	QueuedBytes      int       `json:"queued_bytes"`        // of those, as text
	Requests         int       `json:"requests"`            // under way
	HeldGateways     int       `json:"held_gateways"`       // of which it takes no more now
	SentSamples      uint64    `json:"sent_samples"`        // those that were sent again included
	DeliveredSamples uint64    `json:"delivered_samples"`   // that it acknowledged
	ReroutedSamples  uint64    `json:"rerouted_samples"`    // that left its queue for another hub's
	LastError        string    `json:"last_error,omitempty"`
	LastErrorAt      time.Time `json:"last_error_at,omitzero"` // may be long ago: look at State
}

// Queue is what waits.
type Queue struct {
	Samples       int     `json:"samples"`               // in memory, those in requests included
	Bytes         int     `json:"bytes"`                 // of memory
	MaxBytes      int     `json:"max_bytes"`             // Config.MaxQueueBytes
	OldestSeconds float64 `json:"oldest_seconds"`        // since the oldest sample was submitted
	SpoolSamples  int     `json:"spool_samples"`         // on disk
	SpoolError    string  `json:"spool_error,omitempty"` // while SpoolDir cannot be used
	Gateways      int     `json:"gateways"`              // with something queued
}

// Totals are in samples since the exporter was made, also of hubs that left.
type Totals struct {
	Submitted uint64            `json:"submitted"` // that Submit took in
	Restored  uint64            `json:"restored"`  // that an earlier Run left on disk
	Spilled   uint64            `json:"spilled"`   // that were moved from memory to disk
	Delivered uint64            `json:"delivered"` // that hubs acknowledged
	Dropped   map[string]uint64 `json:"dropped"`   // by reason, as in hubring_exporter_samples_dropped_total; those that occurred
}

// Ends are of gateways that went to another hub, by what became of telling the one that they left.
type Ends struct {
	Told        uint64         `json:"told"`
	Dropped     uint64         `json:"dropped"`     // too many waited, the hub refused or left for long, or Run ended
	Unsupported uint64         `json:"unsupported"` // by an older hub
	Overtaken   uint64         `json:"overtaken"`   // the gateway returned before
	Waiting     map[string]int `json:"waiting"`     // how many, by hub, those that left included
	Deaf        []string       `json:"deaf"`        // hubs that do not know of it
}

// Config is what was chosen, the defaults filled in.
type Config struct {
	Failover            string  `json:"failover"`  // next_hub or wait_for_owner
	Overflow            string  `json:"overflow"`  // refuse_new or drop_oldest
	Receivers           string  `json:"receivers"` // hubs_only or hubs_and_others
	TellsEnds           bool    `json:"tells_ends"`
	EndsDelaySeconds    float64 `json:"ends_delay_seconds"`
	AsGauges            bool    `json:"as_gauges"`
	GatherSources       int     `json:"gather_sources"`
	SpoolDir            string  `json:"spool_dir"`
	SpoolPolicy         string  `json:"spool_policy"` // overflow or all
	MaxSpoolBytes       int64   `json:"max_spool_bytes"`
	Senders             int     `json:"senders"`
	BatchBytes          int     `json:"batch_bytes"`
	BatchWaitSeconds    float64 `json:"batch_wait_seconds"`
	PushTimeoutSeconds  float64 `json:"push_timeout_seconds"`
	FlushTimeoutSeconds float64 `json:"flush_timeout_seconds"`
	MinBackoffSeconds   float64 `json:"min_backoff_seconds"`
	MaxBackoffSeconds   float64 `json:"max_backoff_seconds"`
	CatchUp             float64 `json:"catch_up,omitzero"` // 0 if without bound
}

// Gateway is one gateway, or key of SubmitFamilies, and where its samples go. While no hub is known the
// names of hubs are empty.
type Gateway struct {
	ID            string    `json:"id"`
	Owner         string    `json:"owner"`               // its home
	InUse         string    `json:"in_use"`              // the hub that its samples go to, or wait for, now
	Walk          []Step    `json:"walk"`                // the owner and those who would be next, in order, 12 at most
	QueuedSamples int       `json:"queued_samples"`      // that wait
	UnderWay      bool      `json:"under_way"`           // some are in a request or being written to disk
	HeldUntil     time.Time `json:"held_until,omitzero"` // the hub takes no more of it before
	At            string    `json:"at"`                  // the hub that acknowledged its latest samples
	Untold        []Untold  `json:"untold"`              // hubs that it left and that are not told yet
}

// Untold is a move of which the hub that was left is not told yet.
type Untold struct {
	Hub     string    `json:"hub"`      // that was left
	EndedAt time.Time `json:"ended_at"` // the time of the first sample elsewhere
}

// Step is a hub of a gateway's walk.
type Step struct {
	Hub   string `json:"hub"`
	State string `json:"state"` // up, catching_up or down
}
