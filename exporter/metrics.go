package exporter

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
	"github.com/hubring/hubring/exporter/internal/send"
)

// metrics are the exporter's own.
type metrics struct {
	*send.Metrics
	gatherFailures    prometheus.Counter
	placementFailures prometheus.Counter
	dropsMissed       prometheus.Counter
}

const namespace = "hubring_exporter_"

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(namespace+name, help, labels, nil)
}

var (
	descSubmitted = desc("samples_submitted_total",
		"Samples that Submit took in. Each of them, and of those restored, is delivered, dropped as rejected, overflow, damaged or undelivered, or queued.")
	descRestored = desc("samples_restored_total",
		"Samples that an earlier run left in SpoolDir and that were queued again.")
	descSpilled = desc("samples_spilled_total",
		"Samples that were moved from memory to SpoolDir.")
	descSent = desc("samples_sent_total",
		"Samples in requests to the hub, those that are sent again included.", "hub")
	descDelivered = desc("samples_delivered_total",
		"Samples that the hub acknowledged.", "hub")
	descRerouted = desc("samples_rerouted_total",
		"Samples that left the hub's queue for another hub's: it was down, their home was up again, or the ring changed.", "hub")
	descDropped = desc("samples_dropped_total",
		"Samples that were dropped. Those with a reason that begins with rejected, queue_overflow, spool_damaged and undelivered had been submitted; the others were not taken in.", "reason")
	descQueueBytes = desc("queue_bytes",
		"Memory of the samples that are queued or in flight.")
	descQueueSamples = desc("queue_samples",
		"Samples that are queued, in memory or in SpoolDir, or in flight.")
	descQueueAge = desc("queue_age_seconds",
		"How long ago the oldest sample that is queued or in flight was submitted; 0 if there is none.")
	descSpoolSamples = desc("spool_samples",
		"Samples that are queued in SpoolDir.")
	descSpoolUp = desc("spool_up",
		"1 if SpoolDir can be used, 0 if it failed when it was used last and is tried again. Only with a SpoolDir.")
	descEnds = desc("ends_total",
		"Moves of a gateway to another hub, by what became of telling the one it left: told; dropped, since too many waited, the hub refused, left for long, or Run ended; unsupported, by an older hub; overtaken, since the gateway returned before.", "outcome")
	descEndsWaiting = desc("ends_waiting",
		"Moves of a gateway of which the hub that it left is to be told.")
	descHubUp = desc("hub_up",
		"1 if samples are sent to the hub, 0 if it is stepped over until a probe succeeds.", "hub")
	descHubCatchingUp = desc("hub_catching_up",
		"1 if the hub was down and is sent what has piled up for it at the pace of CatchUp.", "hub")
	descHubQueue = desc("hub_queue_samples",
		"Samples that wait for the hub, without those in requests.", "hub")
	descPlacement = desc("placement_serial",
		"The serial number of the placement that the ring follows; 0 before there is one. Only with Config.Inventory.")
	descFingerprint = desc("ring_fingerprint",
		"The upper 53 bits of the ring's fingerprint. Exporters with different values disagree on the hubs and split gateways over two.")
	descRingHubs = desc("ring_hubs",
		"Hubs in the ring; 0 while none is known.")
	descMembersFailures = desc("members_failures_total",
		"Questions to Members that failed or had no hub in the answer. The ring stays as it was.")
	descMembersSuccess = desc("members_last_success_timestamp_seconds",
		"When Members last gave a good answer; 0 if never.")

	descState = []*prometheus.Desc{
		descSubmitted, descRestored, descSpilled, descSent, descDelivered, descRerouted, descDropped,
		descQueueBytes, descQueueSamples, descQueueAge, descSpoolSamples, descSpoolUp, descEnds, descEndsWaiting,
		descHubUp, descHubCatchingUp, descHubQueue, descPlacement, descFingerprint, descRingHubs,
		descMembersFailures, descMembersSuccess,
	}
)

func newMetrics() *metrics {
	return &metrics{
		Metrics: send.NewMetrics(namespace),
		gatherFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: namespace + "gather_failures_total",
			Help: "Times that a source of Config.Gather failed, or what it gave was not all submitted.",
		}),
		placementFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: namespace + "placement_failures_total",
			Help: "Times that Config.Inventory gave no placement, or one that does not fit the ring.",
		}),
		dropsMissed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: namespace + "drop_notices_missed_total",
			Help: "Drops that Config.OnDrop was not told of, since it was too slow. They are in samples_dropped_total.",
		}),
	}
}

// registering lets one exporter register at a time, so that none takes the place of one that has
// just taken it.
var registering sync.Mutex

// register makes the exporter's metrics known to Config.Registerer, all or none. One whose Run
// has ended gives its place up: until then the last state of its account can be scraped.
func (e *Exporter) register() error {
	reg := e.cfg.Registerer
	if reg == nil {
		return nil
	}
	registering.Lock()
	defer registering.Unlock()
	err := reg.Register(&collector{e})
	if there, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		before, ours := there.ExistingCollector.(*collector)
		if !ours || !before.e.finished.Load() {
			return fmt.Errorf("register metrics: another exporter uses this Registerer, and its Run has not ended; wrap it with a label of each one's own: %w", err)
		}
		reg.Unregister(before)
		err = reg.Register(&collector{e})
	}
	if err != nil {
		return fmt.Errorf("register metrics: %w", err)
	}
	return nil
}

// collector has all metrics of an exporter.
type collector struct{ e *Exporter }

// kept are the metrics that are not read from the exporter's state.
func (c *collector) kept() []prometheus.Collector {
	m := c.e.metrics
	return append(m.Collectors(), m.gatherFailures, m.placementFailures, m.dropsMissed)
}

// Describe implements prometheus.Collector. It says the same whatever the config, so that
// a registry takes an exporter for the same collector as the one before.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range descState {
		ch <- d
	}
	for _, k := range c.kept() {
		k.Describe(ch)
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	for _, k := range c.kept() {
		k.Collect(ch)
	}
	s := c.e.queue.Snapshot(time.Now())
	add := func(d *prometheus.Desc, t prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, v, labels...)
	}
	const count, level = prometheus.CounterValue, prometheus.GaugeValue
	add(descSubmitted, count, float64(s.Account.Submitted))
	add(descRestored, count, float64(s.Account.Restored))
	add(descSpilled, count, float64(s.Account.Spilled))
	for why, n := range s.Account.Dropped {
		if reason.Reason(why) != reason.Taken {
			add(descDropped, count, float64(n), reason.Reason(why).String())
		}
	}
	add(descQueueBytes, level, float64(s.MemoryBytes))
	add(descQueueSamples, level, float64(s.Samples+s.SpoolSamples))
	add(descQueueAge, level, s.Age.Seconds())
	add(descSpoolSamples, level, float64(s.SpoolSamples))
	if c.e.cfg.SpoolDir != "" {
		add(descSpoolUp, level, oneIf(s.SpoolError == nil))
	}
	for fate, n := range s.Ends.Fates {
		add(descEnds, count, float64(n), queue.EndFate(fate).String())
	}
	add(descEndsWaiting, level, float64(s.Ends.Waiting))
	add(descFingerprint, level, float64(s.Fingerprint>>11))
	if c.e.cfg.Inventory != nil {
		serial := uint64(0)
		if p := c.e.followed(); p != nil {
			serial = p.Serial
		}
		add(descPlacement, level, float64(serial))
	}
	add(descRingHubs, level, float64(len(s.Hubs)))
	for name, h := range s.Account.Hubs {
		add(descSent, count, float64(h.Sent), name)
		add(descDelivered, count, float64(h.Delivered), name)
		add(descRerouted, count, float64(h.Rerouted), name)
	}
	for _, h := range s.Hubs {
		add(descHubUp, level, oneIf(h.State != queue.HubDown), h.Name)
		add(descHubCatchingUp, level, oneIf(h.State == queue.HubCatchingUp), h.Name)
		add(descHubQueue, level, float64(h.Samples), h.Name)
	}
	if c.e.watcher != nil {
		w := c.e.watcher.Status()
		add(descMembersFailures, count, float64(w.Failures))
		success := 0.0
		if !w.LastSuccess.IsZero() {
			success = float64(w.LastSuccess.UnixMilli()) / 1000
		}
		add(descMembersSuccess, level, success)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
