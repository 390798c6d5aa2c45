package scrapers

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"

	"github.com/hubring/hubring/e2e/internal/promapi"
	"github.com/hubring/hubring/e2e/internal/stack"
)

// job is a scrape job of a Prometheus, as the README writes it, and what a row has
// besides.
type job struct {
	target   string        // host:port; the hub's when empty
	interval time.Duration // of scrapes, if not the usual one
	timeout  time.Duration
	targets  string // instead of target, YAML
	extra    string // more of the job, YAML with its indentation
	relabel  string // more metric_relabel_configs, YAML with its indentation
}

// config is a configuration file.
func (j job) config(hub string) string {
	j.target, j.interval, j.timeout = cmp.Or(j.target, hub), cmp.Or(j.interval, interval), cmp.Or(j.timeout, interval)
	j.targets = cmp.Or(j.targets, fmt.Sprintf("[{targets: [%q]}]", j.target))
	return fmt.Sprintf(`global: {scrape_interval: %s, scrape_timeout: %s}
storage: {tsdb: {out_of_order_time_window: 2h}}
scrape_configs:
  - job_name: edgehub
    honor_labels: true
    honor_timestamps: true
%s    static_configs: %s
    metric_relabel_configs:
      - {source_labels: [instance], regex: "127\\.0\\.0\\.1:.+", target_label: instance, replacement: ""}
      - {source_labels: [job], regex: edgehub, target_label: job, replacement: ""}
%s`, j.interval, j.timeout, j.extra, strings.ReplaceAll(j.targets, "HUB", j.target), j.relabel)
}

// startServer starts a Prometheus that scrapes the row's hub, by protobuf where it is asked,
// and else by text.
func (r *row) startServer(cfg stack.ServerConfig, j job) *stack.Server {
	r.Helper()
	if r.asked {
		j.extra += "    scrape_protocols: [PrometheusProto, PrometheusText1.0.0, PrometheusText0.0.4]\n"
	}
	cfg.Config = j.config(r.hub.Address)
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	server, err := r.stack.StartServer(ctx, cfg)
	require.NoError(r, err)
	return server
}

// restart starts a server again that has ended.
func (r *row) restart(server *stack.Server) error {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	return server.Restart(ctx)
}

// storedQuery selects the samples, and what tells how often they came. One query sees each
// scrape whole or not at all.
const storedQuery = `{__name__=~"` + name + `|edgehub_receipt|up|scrape_samples_post_metric_relabeling"}[1h]`

// stored returns what a server has stored. Prometheus keeps no second copy to be seen by a
// query, so what came again is counted by the scrapes that were stored: by what they
// had, without what the hub adds. A scrape that fails has a count, too, and its own up.
func stored(server *stack.Server) func(context.Context) (arrivals, error) {
	client := promapi.New(server.Address)
	type scrape struct {
		instance model.LabelValue
		at       model.Time
	}
	return func(ctx context.Context) (arrivals, error) {
		var got arrivals
		matrix, err := client.Matrix(ctx, storedQuery)
		if err != nil {
			return got, err
		}
		total, ups, counts := 0, map[scrape]bool{}, map[scrape]int{}
		for _, stream := range matrix {
			for _, pair := range stream.Values {
				of, value := scrape{stream.Metric["instance"], pair.Timestamp}, float64(pair.Value)
				switch stream.Metric[model.MetricNameLabel] {
				case name:
					id := sample{string(stream.Metric["gatewayID"]), string(stream.Metric["n"]), int64(pair.Timestamp)}
					if err := got.add(id, value); err != nil {
						return got, err
					}
				case "edgehub_receipt":
					total--
				case "up":
					ups[of] = value == 1
				default:
					counts[of] = int(value)
				}
			}
		}
		for of, n := range counts {
			if ups[of] {
				total += n
			}
		}
		got.total = total
		return got, nil
	}
}
