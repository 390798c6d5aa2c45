package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/tsdb"
	v1 "github.com/prometheus/prometheus/web/api/v1"

	"github.com/hubring/hubring/cmd/demo/stack/shard"
)

// targets lists the scrape targets of all shards. Every shard names its one job
// alike, so the pools are merged under that name.
type targets []*shard.Shard

func (t targets) ScrapePools() []string { return []string{shard.Job} }

func (t targets) TargetsActive() map[string][]*scrape.Target {
	return t.collect((*scrape.Manager).TargetsActive)
}

func (t targets) TargetsDropped() map[string][]*scrape.Target {
	return t.collect((*scrape.Manager).TargetsDropped)
}

func (t targets) collect(of func(*scrape.Manager) map[string][]*scrape.Target) map[string][]*scrape.Target {
	all := map[string][]*scrape.Target{}
	for _, s := range t {
		for pool, list := range of(s.Scrapes()) {
			all[pool] = append(all[pool], list...)
		}
	}
	return all
}

func (t targets) TargetsDroppedCounts() map[string]int {
	all := map[string]int{}
	for _, s := range t {
		for pool, n := range s.Scrapes().TargetsDroppedCounts() {
			all[pool] += n
		}
	}
	return all
}

func (t targets) ScrapePoolConfig(pool string) (*config.ScrapeConfig, error) {
	return t[0].Scrapes().ScrapePoolConfig(pool)
}

// nothing stands for what the demo does not have: rules and Alertmanagers.
type nothing struct{}

func (nothing) RuleGroups() []*rules.Group           { return nil }
func (nothing) AlertingRules() []*rules.AlertingRule { return nil }
func (nothing) Alertmanagers() []*url.URL            { return nil }
func (nothing) DroppedAlertmanagers() []*url.URL     { return nil }

// stores answers the questions about the TSDB, of which there is more than one.
type stores struct{}

var errManyStores = errors.New("the demo has one TSDB for each hub: ask with queries instead")

func (stores) CleanTombstones() error { return errManyStores }

func (stores) Delete(context.Context, int64, int64, ...*labels.Matcher) error { return errManyStores }

func (stores) Snapshot(string, bool) error { return errManyStores }

func (stores) Stats(string, int) (*tsdb.Stats, error) { return nil, errManyStores }

func (stores) WALReplayStatus() (tsdb.WALReplayStatus, error) { return tsdb.WALReplayStatus{}, nil }

func (stores) BlockMetas() ([]tsdb.BlockMeta, error) { return nil, errManyStores }

// runtimeInfo returns a function for /api/v1/status/runtimeinfo.
func runtimeInfo(started time.Time) func() (v1.RuntimeInfo, error) {
	return func() (v1.RuntimeInfo, error) {
		dir, err := os.Getwd()
		if err != nil {
			return v1.RuntimeInfo{}, fmt.Errorf("working directory: %w", err)
		}
		host, err := os.Hostname()
		if err != nil {
			return v1.RuntimeInfo{}, fmt.Errorf("host name: %w", err)
		}
		return v1.RuntimeInfo{
			StartTime:           started,
			CWD:                 dir,
			Hostname:            host,
			ServerTime:          time.Now(),
			ReloadConfigSuccess: true,
			LastConfigTime:      started,
			GoroutineCount:      runtime.NumGoroutine(),
			GOMAXPROCS:          runtime.GOMAXPROCS(0),
			GOMEMLIMIT:          debug.SetMemoryLimit(-1),
			GOGC:                os.Getenv("GOGC"),
			GODEBUG:             os.Getenv("GODEBUG"),
			StorageRetention:    "until the demo ends",
		}, nil
	}
}

// prometheusModule is the module whose version the API reports: Grafana decides
// by it which queries the server understands.
const prometheusModule = "github.com/prometheus/prometheus"

// buildInfo describes the Prometheus code in this binary. Module version
// v0.315.0 is Prometheus 3.15.0.
func buildInfo() *v1.PrometheusVersion {
	info := &v1.PrometheusVersion{
		Version:   "3.0.0",
		Branch:    "embedded in hubring's demo",
		GoVersion: runtime.Version(),
	}
	build, ok := debug.ReadBuildInfo()
	if !ok {
		return info
	}
	for _, dep := range build.Deps {
		var minor, patch int
		if dep.Path != prometheusModule {
			continue
		}
		info.Revision = dep.Version
		if n, err := fmt.Sscanf(dep.Version, "v0.%d.%d", &minor, &patch); n == 2 && err == nil {
			info.Version = fmt.Sprintf("%d.%d.%d", minor/100, minor%100, patch)
		}
	}
	return info
}
