package main

import (
	"context"
	"log/slog"
	"reflect"
	"time"

	"github.com/hubring/hubring/cmd/hubquery/internal/shard"
)

// follower keeps the shards what a file says. A file that is wrong changes nothing, but at the start.
type follower struct {
	path   string // empty: the shards are given once and for all
	shards *shard.Set
	logger *slog.Logger
	last   []shard.Config
	wrong  string // what was said of the file last
}

// begin makes the first set of shards.
func (f *follower) begin(given []shard.Config) (err error) {
	f.last = given
	if f.path != "" {
		if f.last, err = shard.ReadFile(f.path); err != nil {
			return err
		}
	}
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
	switch {
	case err == nil:
		f.wrong = ""
	case err.Error() != f.wrong:
		f.wrong = err.Error()
		f.logger.Error("the file of shards is wrong, those from before stay", "error", err)
	}
}
