package main

import (
	"context"
	"fmt"
	"time"

	"github.com/alecthomas/kingpin/v2"

	"github.com/hubring/hubring/hashring"
)

// costCommand measures rings of growing size.
func costCommand(cmd *kingpin.CmdClause) command {
	most := number(cmd, "hubs", 1000, 1, hashring.MaxNodes, "The largest ring to measure.")
	return func(ctx context.Context, t terminal) error {
		keys := make([]string, 1_000_000)
		for i := range keys {
			keys[i] = fmt.Sprintf("gateway-%06d", i)
		}
		fmt.Fprint(t.out, "| hubs | build | lookup | first failover step | busiest hub of a million gateways |\n|--:|--:|--:|--:|--:|\n")
		for _, n := range []int{1, 3, 10, 30, 100, 300, 1000, 3000} {
			if n > *most {
				break
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			row, err := cost(n, keys)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintln(t.out, row); err != nil {
				return err
			}
		}
		return nil
	}
}

// cost measures one ring. Of several builds the fastest counts, which is the one that
// was disturbed least.
func cost(hubs int, keys []string) (row string, err error) {
	var ring *hashring.Ring
	build := time.Duration(0)
	for began := time.Now(); build == 0 || time.Since(began) < 300*time.Millisecond; {
		start := time.Now()
		if ring, err = hashring.New(numbered("edgehub-%d", 0, hubs)); err != nil {
			return "", err
		}
		if took := time.Since(start); build == 0 || took < build {
			build = took
		}
	}
	load, most := map[string]int{}, 0
	for _, key := range keys {
		name := ring.Owner(key).Name
		load[name]++
		most = max(most, load[name])
	}
	failover := "-"
	if hubs > 1 {
		failover = perCall(keys[:4096], func(key string) { failOver(ring, key) }).String()
	}
	return fmt.Sprintf("| %d | %.1f ms | %s | %s | %.2f of the average |", hubs, float64(build.Microseconds())/1000,
		perCall(keys[:1<<16], func(key string) { ring.Owner(key) }), failover, float64(most)*float64(hubs)/float64(len(keys))), nil
}
