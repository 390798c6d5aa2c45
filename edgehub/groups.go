package edgehub

import (
	"path/filepath"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/edgehub/internal/groups"
	"github.com/hubring/hubring/edgehub/internal/journal"
	"github.com/hubring/hubring/edgehub/internal/receipt"
)

// groupsDir is the directory of groups in Config.StoragePath.
const groupsDir = "groups"

// newGroups makes the groups of a hub, or returns nil where it has none.
func newGroups(cfg Config) *groups.Set {
	if cfg.NoPushgateway {
		return nil
	}
	c := groups.Config{
		Limits: groups.Limits{
			Groups: cfg.MaxGroups, Series: cfg.MaxGroupsSeries, Bytes: cfg.MaxGroupsBytes,
			SeriesBytes: cfg.MaxSeriesBytes, Labels: cfg.MaxLabels,
		},
		TTL: cfg.GroupTTL, Reserved: []string{receipt.Name, firstSample}, Logger: cfg.Logger,
	}
	if cfg.StoragePath != "" {
		sync, _ := journal.ParseSync(cfg.StorageSync) // which validate has read
		c.Dir, c.Sync = filepath.Join(cfg.StoragePath, groupsDir), sync != journal.Sync{}
	}
	return groups.New(c)
}

// groupFlags are shown by GET /api/v1/status.
func groupFlags(cfg Config) map[string]string {
	return map[string]string{
		"pushgateway.max-groups":       strconv.Itoa(cfg.MaxGroups),
		"pushgateway.max-series":       strconv.Itoa(cfg.MaxGroupsSeries),
		"pushgateway.max-bytes":        strconv.FormatInt(cfg.MaxGroupsBytes, 10),
		"pushgateway.group-ttl":        cfg.GroupTTL.String(),
		"pushgateway.enable-admin-api": strconv.FormatBool(cfg.EnableGroupAdmin),
	}
}

// groupCollectors export what is known of groups.
func (h *Hub) groupCollectors() []prometheus.Collector {
	counts := &h.web.Counts
	size := func(pick func(groups, series int, bytes int64) float64) func() float64 {
		return func() float64 {
			if h.store.Reads() == nil {
				_ = h.groups.Open() // who pushes is told of it
			}
			return pick(h.groups.Size())
		}
	}
	return []prometheus.Collector{
		counter("group_pushes_total", "Pushes to groups that were taken.", counts.GroupPushes.Load),
		counter("group_deletions_total", "Requests to delete groups that were taken.", counts.GroupDeletions.Load),
		words(&counts.RejectedGroupPushes, "group_pushes_rejected_total", "Pushes to groups, and requests to delete some, that were refused, by reason.", "reason"),
		counter("group_metrics_left_out_total", "Metrics of groups that a scrape as text went without, since they cannot stand beside a histogram or summary of the log with the same name.", counts.GroupMetricsLeft.Load),
		counter("groups_expired_total", "Groups that were deleted since they were not pushed to for as long as they stay.", h.groups.Counts.Expired.Load),
		counter("groups_lost_total", "Groups on disk that could not be read at the start; the log says which.", h.groups.Counts.Lost.Load),
		gauge("groups", "Groups that the hub holds.", size(func(n, _ int, _ int64) float64 { return float64(n) })),
		gauge("groups_series", "Series of all groups.", size(func(_, n int, _ int64) float64 { return float64(n) })),
		gauge("groups_bytes", "Size of all groups, as protobuf.", size(func(_, _ int, n int64) float64 { return float64(n) })),
		gauge("limit_groups", "The most groups that the hub may hold.", func() float64 { return float64(h.cfg.MaxGroups) }),
		gauge("limit_groups_series", "The most series of all groups.", func() float64 { return float64(h.cfg.MaxGroupsSeries) }),
		gauge("limit_groups_bytes", "The most bytes of all groups.", func() float64 { return float64(h.cfg.MaxGroupsBytes) }),
	}
}
