package shard

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/prometheus/common/model"
)

// Job is the name of the scrape job, the same on every shard.
const Job = "edgehub"

// configText is the prometheus.yml that a user would write for one shard.
//
// Prometheus gives each series that it scrapes its target's job and instance.
// A series that moves to another hub would become another series by that, and
// a sum over both shards would count it twice, so the two labels are taken off
// again where they are the target's own. What a pusher set itself stays.
//
// The window lets a sample in that a hub took late, after its neighbours came
// through another hub. It is longer than what a hub lets pass, since a sample
// that is older than the window fails the whole scrape.
func configText(cfg Config) string {
	interval := model.Duration(cfg.Interval).String()
	return fmt.Sprintf(`global:
  scrape_interval: %[1]s
  scrape_timeout: %[1]s
storage:
  tsdb:
    out_of_order_time_window: 2h
scrape_configs:
  - job_name: %[2]s
    honor_labels: true
    honor_timestamps: true
    track_timestamps_staleness: false
    static_configs:
      - targets: [%[3]s]
    metric_relabel_configs:
      - source_labels: [instance]
        regex: %[4]s
        target_label: instance
        replacement: ""
      - source_labels: [job]
        regex: %[2]s
        target_label: job
        replacement: ""
`, interval, Job, strconv.Quote(cfg.Target), strconv.Quote(regexp.QuoteMeta(cfg.Target)))
}
