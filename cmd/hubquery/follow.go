package main

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// follower keeps the shards what a file says, and the DNS beside. A file that is wrong changes nothing, but at the start.
type follower struct {
	path   string     // empty: the shards are given once and for all
	dns    *shard.DNS // nil: none
	shards *shard.Set
	logger *slog.Logger
	given  []shard.Config // by the file
	last   []shard.Config // in use
	wrong  string         // what was said of the file last
	silent string         // what was said of the DNS last
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
	f.given = given
	if f.path != "" {
		if f.given, err = shard.ReadFile(f.path); err != nil {
			return err
		}
	}
	f.last = f.given
	f.good.Set(1)
	return f.shards.Use(f.last)
}

// follow reads the file, and asks the DNS, again and again until ctx ends. It asks the file and not the system for
// changes, since a ConfigMap's file is a link that is exchanged.
func (f *follower) follow(ctx context.Context) {
	if f.path == "" && f.dns == nil {
		return
	}
	every := fileEvery
	if f.dns != nil {
		every = dnsEvery
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			f.look(ctx)
		}
	}
}

func (f *follower) look(ctx context.Context) {
	now, err := f.given, error(nil)
	if f.path != "" {
		if now, err = shard.ReadFile(f.path); err == nil {
			f.given = now
		}
	}
	if f.dns != nil {
		now = f.ask(ctx)
	}
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

// ask returns the shards that are given, and those that the DNS has beside.
func (f *follower) ask(ctx context.Context) []shard.Config {
	all, err := f.dns.Add(ctx, f.given)
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != f.silent && said != "" {
		f.logger.Warn("the DNS does not say which servers there are, those that it had stay", "error", err)
	}
	f.silent = said
	return all
}
