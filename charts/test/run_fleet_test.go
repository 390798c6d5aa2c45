//go:build linux

package charttest

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/exporter/members"
)

// fleet is a controller with its gateways. Each reports once a second:
//
//	gateway_up      1
//	gateway_alarm   1 from the moment that it is raised
//	gateway_reports how often it has reported
type fleet struct {
	size     int
	exporter *exporter.Exporter
	stop     func() // ends the reports, and returns when the controller has ended

	mu     sync.Mutex
	times  []int64         // of the reports that hubs have acknowledged, Unix milliseconds
	alarms map[string]bool // gateways
}

// reportEvery is the time between two reports of a gateway.
const reportEvery = time.Second

// srvName is where NOTES.txt says that the hubs' SRV records are.
var srvName = regexp.MustCompile(`members\.DNS\{Name: "([^"]+)"\}`)

// startFleet starts a controller that finds the hubs as the release's notes say, and
// gateways that report until they are stopped or the test ends.
func startFleet(t *testing.T, r *liveRelease, size int) *fleet {
	t.Helper()
	found := srvName.FindStringSubmatch(r.release.notes)
	require.NotNil(t, found, "NOTES.txt does not say how exporters find hubs:\n%s", r.release.notes)
	e, err := exporter.New(exporter.Config{
		Members:         members.DNS{Name: found[1]},
		MembersInterval: time.Second,
		MembersHold:     2 * time.Second,
	})
	require.NoError(t, err)
	f := &fleet{size: size, exporter: e, alarms: map[string]bool{}}

	runCtx, stopRun := context.WithCancel(context.Background())
	reportCtx, stopReport := context.WithCancel(context.Background())
	ran, reported := make(chan error, 1), make(chan error, 1)
	go func() { ran <- e.Run(runCtx) }()
	go func() { reported <- f.report(reportCtx) }()
	f.stop = sync.OnceFunc(func() {
		stopReport()
		require.NoError(t, <-reported)
		stopRun()
		require.NoError(t, <-ran)
	})
	t.Cleanup(f.stop)
	return f
}

// report has all gateways report until the context ends. Every report waits for the hubs'
// acknowledgement; one that has begun is finished.
func (f *fleet) report(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for round := 1; ; round++ {
		at := time.Now().UnixMilli()
		push, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		err := f.exporter.Push(push, f.reports(round, at))
		cancel()
		if err != nil {
			return fmt.Errorf("push report %d of the fleet: %w", round, err)
		}
		f.mu.Lock()
		f.times = append(f.times, at)
		f.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reports returns what all gateways report in a round.
func (f *fleet) reports(round int, at int64) []magma.MetricAndContext {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []magma.MetricAndContext
	for i := range f.size {
		id := gatewayID(i)
		alarm := 0.0
		if f.alarms[id] {
			alarm = 1
		}
		for name, value := range map[string]float64{"gateway_up": 1, "gateway_alarm": alarm, "gateway_reports": float64(round)} {
			family := &dto.MetricFamily{
				Name: proto.String(name), Type: dto.MetricType_GAUGE.Enum(),
				Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: proto.Float64(value)}, TimestampMs: proto.Int64(at)}},
			}
			all = append(all, magma.MetricAndContext{Family: family, Context: magma.MetricContext{
				MetricName: name, AdditionalContext: &magma.GatewayMetricContext{NetworkID: "net1", GatewayID: id},
			}})
		}
	}
	return all
}

func gatewayID(i int) string { return fmt.Sprintf("gw-%03d", i) }

// raise raises a gateway's alarm.
func (f *fleet) raise(gateway string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alarms[gateway] = true
}

// acknowledged returns the times of the reports that hubs have taken.
func (f *fleet) acknowledged() []int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int64(nil), f.times...)
}

// missing compares what hubs have taken with the times at which each gateway has samples
// in a store.
func (f *fleet) missing(stored map[string]map[int64]int) error {
	var lost []string
	for i := range f.size {
		id := gatewayID(i)
		for _, at := range f.acknowledged() {
			if stored[id][at] == 0 {
				lost = append(lost, fmt.Sprintf("%s %s", id, time.UnixMilli(at).UTC().Format("15:04:05.000")))
			}
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("%d acknowledged samples are not there: %.20q", len(lost), lost)
	}
	return nil
}
