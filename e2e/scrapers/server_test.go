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

// startServer starts a Prometheus that scrapes the row's hub.
func (r *row) startServer(cfg stack.ServerConfig, j job) *stack.Server {
	r.Helper()
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

// stored returns what a server has stored. Prometheus keeps no second copy to be seen by a
// query, so what came again is counted by the scrapes that were stored.
func stored(server *stack.Server) func(context.Context) (arrivals, error) {
	client := promapi.New(server.Address)
	return func(ctx context.Context) (arrivals, error) {
		var got arrivals
		matrix, err := client.Matrix(ctx, name+"[1h]")
		if err != nil {
			return got, err
		}
		for _, stream := range matrix {
			for _, pair := range stream.Values {
				id := sample{string(stream.Metric["gatewayID"]), string(stream.Metric["n"]), int64(pair.Timestamp)}
				if err := got.add(id, float64(pair.Value)); err != nil {
					return got, err
				}
			}
		}
		got.total, err = scraped(ctx, client)
		return got, err
	}
}

// scraped is how many samples the scrapes had that a server has stored, without what the
// hub adds. A scrape that fails has its own up and its own count, too.
func scraped(ctx context.Context, client *promapi.Client) (int, error) {
	type scrape struct {
		instance model.LabelValue
		at       model.Time
	}
	ups := map[scrape]bool{}
	matrix, err := client.Matrix(ctx, `up{job="edgehub"}[1h]`)
	if err != nil {
		return 0, err
	}
	for _, stream := range matrix {
		for _, pair := range stream.Values {
			ups[scrape{stream.Metric["instance"], pair.Timestamp}] = pair.Value == 1
		}
	}
	if matrix, err = client.Matrix(ctx, `scrape_samples_post_metric_relabeling{job="edgehub"}[1h]`); err != nil {
		return 0, err
	}
	total := 0
	for _, stream := range matrix {
		for _, pair := range stream.Values {
			if ups[scrape{stream.Metric["instance"], pair.Timestamp}] {
				total += int(pair.Value)
			}
		}
	}
	if matrix, err = client.Matrix(ctx, `edgehub_receipt[1h]`); err != nil {
		return 0, err
	}
	for _, stream := range matrix {
		total -= len(stream.Values)
	}
	return total, nil
}
