// Package dataset makes the data that queries are measured on: a fleet's day in
// blocks of a Prometheus, and the hour after it through real hubs into the heads of
// real servers; whole, and in parts by the project's ring.
//
//	Shape ─► fleet (sources, their series, a value for each minute)
//	           │
//	           ├─► blocks: a chunk is encoded once and written wherever its source was at home
//	           └─► the last hour: pushed to hubs, scraped, stored by servers that are then stopped
//
// Values follow from a seed, a series and a minute alone, so any part can be made by
// itself and nothing has to be remembered.
package dataset

import (
	"fmt"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// Minute is the time between two samples of a series, in milliseconds.
const Minute = 60_000

const (
	dayMinutes  = 24 * 60
	liveMinutes = 60
)

// Minutes is how many samples a series has.
const Minutes = dayMinutes + liveMinutes

// Shape says what fleet there is.
type Shape struct {
	Gateways int     `json:"gateways"`
	Scale    float64 `json:"series_scale"` // of the series of a gateway: 1 is 303
	Moves    int     `json:"moves"`        // gateways that have another home from the middle of the day on
	Parts    []int   `json:"parts"`        // into how many parts it is divided, beside the whole
	Seed     uint64  `json:"seed"`
}

const (
	networks      = 20
	hosts         = 15 // sources of no gateway
	hostSeries    = 100
	gatewayGauges = 143
	gatewayCounts = 142
	reportsEach   = 60 // minutes between two samples of FirstSample
)

// FirstSample is the series that a hub writes for each gateway: the time of its first
// sample there.
const FirstSample = "edgehub_gateway_first_sample_timestamp_seconds"

// Histogram is the name of each gateway's one histogram.
const Histogram = "gateway_attach_duration_seconds"

// bounds are a histogram's, as OpenMetrics spells them, and shares what part of the
// observations lies below each.
var (
	bounds = []string{"0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1.0", "2.5", "5.0", "7.5", "10.0", "15.0", "20.0", "30.0", "+Inf"}
	shares = []float64{0.02, 0.08, 0.25, 0.5, 0.72, 0.88, 0.95, 0.98, 0.99, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999, 1}
)

var (
	subsystems = []string{
		"enodebd", "mme", "sessiond", "pipelined", "subscriberdb", "mobilityd",
		"directoryd", "policydb", "magmad", "control_proxy", "td_agent", "health",
	}
	counted = []string{
		"requests", "errors", "bytes_sent", "bytes_received", "packets_sent", "packets_received",
		"cpu_milliseconds", "restarts", "retries", "timeouts", "sessions_opened", "sessions_closed",
	}
	levels = []string{
		"connected_devices", "active_sessions", "queue_depth", "load_ratio", "memory_bytes", "temperature_celsius",
		"signal_dbm", "up", "open_files", "utilization_percent", "latency_seconds", "threads",
	}
)

// CounterName and GaugeName are the names of a gateway's metrics, in their order.
func CounterName(i int) string {
	return "gateway_" + subsystems[i%len(subsystems)] + "_" + counted[i/len(subsystems)] + "_total"
}

// GaugeName is the name of the i-th gauge.
func GaugeName(i int) string {
	return "gateway_" + subsystems[i%len(subsystems)] + "_" + levels[i/len(subsystems)]
}

// GatewayID is the name of the i-th gateway.
func GatewayID(i int) string { return fmt.Sprintf("gw-%04d", i) }

// scaled is so much of n as the scale says, at least one.
func (s Shape) scaled(n int) int { return max(1, int(math.Round(float64(n)*s.Scale))) }

// Counters and Gauges are how many of each a gateway has.
func (s Shape) Counters() int { return s.scaled(gatewayCounts) }

// Gauges is how many gauges a gateway has.
func (s Shape) Gauges() int { return s.scaled(gatewayGauges) }

// source is whatever reports by itself: a gateway, or a host that belongs to none.
type source struct {
	key    string // on the ring
	phase  int64  // milliseconds behind the full minute
	reset  int    // minute at which its counters begin anew; 0 is never
	series []int  // indices of fleet.series
}

// kind says how a series' value follows from the minute.
type kind uint8

const (
	counts  kind = iota // whole numbers that grow
	level               // a gauge of whole numbers
	measure             // a gauge of fractions
	state               // a gauge that hardly ever changes
	bucket
	sum
	first // see FirstSample
)

// series is one series with all that decides its values.
type series struct {
	labels labels.Labels
	source int
	kind   kind
	seed   uint64
	rate   float64 // a minute, of what grows; the size of what does not
	share  float64 // of a bucket
}

// fleet is all series in the order of their labels.
type fleet struct {
	shape   Shape
	sources []source
	series  []series
}

func newFleet(s Shape) *fleet {
	f := &fleet{shape: s}
	for g := range s.Gateways {
		f.addGateway(g)
	}
	for h := range hosts {
		f.addHost(h)
	}
	slices.SortFunc(f.series, func(a, b series) int { return labels.Compare(a.labels, b.labels) })
	for i, sr := range f.series {
		src := &f.sources[sr.source]
		src.series = append(src.series, i)
	}
	return f
}

func (f *fleet) addSource(key string) (index int, seed uint64) {
	seed = mix(f.shape.Seed ^ hashOf(key))
	src := source{key: key, phase: int64(seed % Minute)}
	if seed>>32%16 == 0 { // some restart in the course of the day
		src.reset = 60 + int(seed>>40%(dayMinutes-120))
	}
	f.sources = append(f.sources, src)
	return len(f.sources) - 1, seed
}

func (f *fleet) add(source int, sourceSeed uint64, k kind, share float64, pairs ...string) {
	lset := labels.FromStrings(pairs...)
	seed := mix(sourceSeed ^ hashOf(lset.Get(model.MetricNameLabel)))
	f.series = append(f.series, series{
		labels: lset, source: source, kind: k, seed: seed, share: share,
		rate: math.Floor(math.Exp(float64(seed>>20%1000)/1000*9)) + 1, // 1 to 8,000, more often little
	})
}

func (f *fleet) addGateway(g int) {
	id := GatewayID(g)
	src, seed := f.addSource(id)
	network := fmt.Sprintf("net-%02d", g%networks)
	add := func(k kind, share float64, name string, extra ...string) {
		f.add(src, seed, k, share, append([]string{model.MetricNameLabel, name, "gatewayID", id, "networkID", network}, extra...)...)
	}
	for i := range f.shape.Counters() {
		add(counts, 0, CounterName(i))
	}
	for i := range f.shape.Gauges() {
		add([]kind{level, level, measure, state}[mix(uint64(i))%4], 0, GaugeName(i))
	}
	for i, le := range bounds {
		add(bucket, shares[i], Histogram+"_bucket", labels.BucketLabel, le)
	}
	add(sum, 0, Histogram+"_sum")
	add(bucket, 1, Histogram+"_count")
	// That series has no other label, and the values are times.
	f.add(src, seed, first, 0, model.MetricNameLabel, FirstSample, "gatewayID", id)
}

func (f *fleet) addHost(h int) {
	host := fmt.Sprintf("cloud-%02d", h)
	src, seed := f.addSource(host)
	for i := range f.shape.scaled(hostSeries) {
		service := subsystems[i%len(subsystems)]
		if i%2 == 0 {
			f.add(src, seed, counts, 0, model.MetricNameLabel, fmt.Sprintf("cloud_operations_%02d_total", i/2), "host", host, "service", service)
		} else {
			f.add(src, seed, measure, 0, model.MetricNameLabel, fmt.Sprintf("cloud_level_%02d", i/2), "host", host, "service", service)
		}
	}
}

// value is what a series has in a minute. at is the time of that sample.
func (f *fleet) value(s *series, minute int, at int64) float64 {
	switch s.kind {
	case level:
		return math.Floor(s.rate * (1 + 0.5*noise(s.seed, minute/3)))
	case measure:
		return s.rate * (0.1 + math.Floor(200*noise(s.seed, minute))/256)
	case state:
		if noise(s.seed, minute/10) < 0.01 {
			return 0
		}
		return 1
	case first:
		return float64(at) / 1000
	case counts, bucket, sum:
	}
	if reset := f.sources[s.source].reset; reset > 0 && minute >= reset {
		minute -= reset
	} else {
		minute += 1000
	}
	grown := math.Floor(s.rate * (float64(minute) + noise(s.seed, minute)))
	switch s.kind {
	case bucket:
		return math.Floor(s.share * grown)
	case sum:
		return grown * 0.1875
	default:
		return grown
	}
}

// noise is a number from 0 up to 1 that depends on both.
func noise(seed uint64, minute int) float64 {
	return float64(mix(seed+uint64(minute)*0x9e3779b97f4a7c15)>>11) / (1 << 53)
}

// mix is the finaliser of splitmix64.
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// hashOf is FNV-1a.
func hashOf(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
