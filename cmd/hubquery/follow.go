package main

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// follower keeps the shards what a file says. A file that is wrong changes nothing, but at the start.
type follower struct {
	path   string // empty: the shards are given once and for all
	shards *shard.Set
	logger *slog.Logger
	last   []shard.Config
	wrong  string // what was said of the file last
	good   prometheus.Gauge
}

func newFollower(path string, shards *shard.Set, reg prometheus.Registerer, logger *slog.Logger) *follower {
	f := &follower{path: path, shards: shards, logger: logger, good: prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "hubquery_shards_file_good", Help: "Whether the file of shards was right when it was last read. If not, the shards are those from before.",
	})}
	reg.MustRegister(f.good)
	return f
}

// begin makes the first set of shards.
func (f *follower) begin(given []shard.Config) (err error) {
	f.last = given
	if f.path != "" {
		if f.last, err = shard.ReadFile(f.path); err != nil {
			return err
		}
	}
	f.good.Set(1)
	return f.shards.Use(f.last)
}

// follow reads the file again and again until ctx ends. It asks the file and not the system for
// changes, since a ConfigMap's file is a link that is exchanged.
func (f *follower) follow(ctx context.Context) {
	if f.path == "" {
		return
	}
	ticker := time.NewTicker(fileEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.look()
		}
	}
}

func (f *follower) look() {
	now, err := shard.ReadFile(f.path)
	if err == nil && !reflect.DeepEqual(now, f.last) {
		if err = f.shards.Use(now); err == nil {
			f.logger.Info("other shards", "before", len(f.last), "now", len(now))
			f.last = now
		}
	}
	f.good.Set(0)
	switch {
	case err == nil:
		f.wrong = ""
		f.good.Set(1)
	case err.Error() != f.wrong:
		f.wrong = err.Error()
		f.logger.Error("the file of shards is wrong, those from before stay", "error", err)
	}
}
