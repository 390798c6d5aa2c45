package stack

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hubring/hubring/e2e/internal/realbin"
)

// prometheusConfig is the configuration of one shard. Its arguments are the
// shard's name and the hub's name and address.
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
    honor_labels: true
    honor_timestamps: true
    static_configs:
      - targets: [%[3]q]
        labels: {instance: %[2]q}
    metric_relabel_configs:
      - source_labels: [instance]
        regex: edgehub-[0-9]+
        target_label: instance
        replacement: ""
`

// startPrometheus starts the shard's server and returns its address.
func (s *Stack) startPrometheus(ctx context.Context, sh *Shard) (string, error) {
	name := "prometheus-" + sh.Name
	file := filepath.Join(dataDir(s.cfg), name+".yml")
	content := fmt.Sprintf(prometheusConfig, sh.Name, sh.Hub.Name, sh.Hub.Address)
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	p, err := s.start(name, filepath.Join(s.cfg.Programs, realbin.Prometheus),
		"--config.file="+file,
		"--storage.tsdb.path="+s.tsdbPath(sh),
		// What a sidecar that uploads asks for: no compaction beside Thanos'.
		"--storage.tsdb.min-block-duration=2h",
		"--storage.tsdb.max-block-duration=2h",
		"--web.listen-address=127.0.0.1:0",
		"--web.enable-lifecycle",
		// Hidden: the first scrape after 1 s instead of 6 s.
		"--scrape.discovery-reload-interval=200ms",
	)
	if err != nil {
		return "", err
	}
	address, err := p.WaitListening(ctx)
	if err != nil {
		return "", err
	}
	return address, p.WaitHTTP(ctx, "http://"+address+"/-/ready")
}

func (s *Stack) tsdbPath(sh *Shard) string {
	return filepath.Join(dataDir(s.cfg), "prometheus-"+sh.Name)
}

// startNodeExporter starts a node exporter and returns its address.
func (s *Stack) startNodeExporter(ctx context.Context, i int) (string, error) {
	p, err := s.start(fmt.Sprintf("node-exporter-%d", i), filepath.Join(s.cfg.Programs, realbin.NodeExporter),
		"--web.listen-address=127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return p.WaitListening(ctx)
}
