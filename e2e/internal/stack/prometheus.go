package stack

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

// prometheusConfig is the configuration of one shard. Its arguments are the
// shard's name, the hub's name and address, and what the server likes best.
//
// The target's own instance label is taken off the samples, though not off
// up and its kin, which no metric_relabel_configs rule reaches: else a series
// would have another name in each shard, and the querier could not see that a
// gateway that moved is the same one. An instance label that a gateway sent
// itself stays. The job label is the same in every shard.
const prometheusConfig = `global:
  scrape_interval: 1s
  external_labels:
    shard: %[1]q
storage:
  tsdb:
    out_of_order_time_window: 2h
scrape_configs:
  - job_name: edgehub
    scrape_protocols: [%[4]s]
    scrape_native_histograms: true
    honor_labels: true
    honor_timestamps: true
    static_configs:
      - targets: [%[3]q]
        labels: {instance: %[2]q}
    metric_relabel_configs:
      - source_labels: [instance]
        regex: edgehub-[0-9a-z]+
        target_label: instance
        replacement: ""
`

// What a server of a shard asks for. Only protobuf carries the markers by which a hub ends
// series.
const (
	textProtocols     = "PrometheusText1.0.0, PrometheusText0.0.4"
	protobufProtocols = "PrometheusProto, " + textProtocols
	openMetrics       = "OpenMetricsText1.0.0"
)

func (c Config) protocols() string {
	switch {
	case c.Protobuf:
		return protobufProtocols
	case c.OpenMetrics:
		return openMetrics
	}
	return textProtocols
}

// features are the arguments by which a server has what is no default.
func (c Config) features() []string {
	if len(c.Features) == 0 {
		return nil
	}
	return []string{"--enable-feature=" + strings.Join(c.Features, ",")}
}

// startNodeExporter starts a node exporter and returns its address.
func (s *Stack) startNodeExporter(ctx context.Context, i int) (string, error) {
	p, err := s.Run(fmt.Sprintf("node-exporter-%d", i), filepath.Join(s.cfg.Programs, realbin.NodeExporter),
		"--web.listen-address=127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return p.WaitListening(ctx)
}
