package main

import (
	"context"
	"fmt"
	"time"
)

// chaos kills one hub and starts it again. The plan is that of --kill-hub; a
// negative hub means that nothing happens.
type chaos struct {
	hub         int
	after, down time.Duration

	killedAt time.Time // zero until it happened
}

func planOf(cfg Config) *chaos {
	c := &chaos{hub: cfg.KillHub, after: 20 * time.Second, down: 15 * time.Second}
	if cfg.For > 0 {
		c.after, c.down = cfg.For/2, cfg.For/4
	}
	return c
}

// run carries the plan out and returns when it is done or the context ends. A
// hub that is dead by then stays dead.
func (c *chaos) run(ctx context.Context, hosts []*host, tell func(format string, args ...any)) error {
	if c.hub < 0 || !sleep(ctx, c.after) {
		return nil
	}
	h := hosts[c.hub]
	c.killedAt = time.Now()
	if err := h.kill(); err != nil {
		return fmt.Errorf("kill a hub: %w", err)
	}
	tell("%s was killed: its connections are cut, its memory is gone", h.name)
	if !sleep(ctx, c.down) {
		return nil
	}
	if err := h.start(); err != nil {
		return fmt.Errorf("start a hub again: %w", err)
	}
	tell("%s is back on its old port, with what it held", h.name)
	return nil
}

// sleep is false if the context ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
