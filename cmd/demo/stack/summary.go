package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/hubring/hubring/cmd/demo/stack/account"
	"github.com/hubring/hubring/cmd/demo/stack/api"
	"github.com/hubring/hubring/cmd/demo/stack/shard"
	"github.com/hubring/hubring/exporter"
)

// conclude makes the account, prints it, and returns errAccount if it has
// faults.
func (d *demo) conclude(undelivered *exporter.UndeliveredError) error {
	d.event("comparing what was submitted with what the shards hold")
	now := time.Now()
	counted, err := d.count(context.Background(), gatewaySeries, now)
	if err != nil {
		return fmt.Errorf("last query: %w", err)
	}
	result, err := d.settle(now)
	if err != nil {
		return fmt.Errorf("account: %w", err)
	}
	checks := account.Checks{
		ExporterSubmitted: d.exporterCounter("hubring_exporter_samples_submitted_total", func(string) bool { return true }),
		Counted:           counted,
		MostTwice:         d.watch.mostTwice,
		Gap:               d.watch.gap,
	}
	d.screen.Lock()
	defer d.screen.Unlock()
	say(d.Out, "\nThe account of %s\n", d.ran.Round(time.Second))
	d.printHubs(result)
	d.printAccount(result, checks)
	d.printTakeover(result)
	return d.printVerdict(result.Faults(checks), undelivered)
}

func (d *demo) settle(now time.Time) (*account.Result, error) {
	done := make(chan error, 1)
	var result *account.Result
	q := account.Question{
		Ledger: d.ledger,
		View: func(yield func(labels.Labels, []shard.Sample) bool) error {
			return shard.Union(context.Background(), d.shards, yield)
		},
		Shards: len(d.shards),
		Since:  now.Add(-api.Lookback).UnixMilli(),
	}
	for _, h := range d.hosts {
		q.Graves = append(q.Graves, h.graves...)
	}
	go func() {
		var err error
		result, err = account.Settle(q)
		done <- err
	}()
	err := d.waitFor("the account: every sample of every shard is read", done)
	return result, err
}

func table(w io.Writer, fill func(row func(format string, args ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fill(func(format string, args ...any) { fmt.Fprintf(t, format+"\t\n", args...) })
	_ = t.Flush() // writes to the screen
	fmt.Fprintln(w)
}

func (d *demo) printHubs(r *account.Result) {
	homes := make([]int, len(d.hosts))
	for _, s := range r.Sources {
		if home := s.Home(); s.Gateway && home >= 0 {
			homes[home]++
		}
	}
	table(d.Out, func(row func(string, ...any)) {
		row("hub\tgateways at home\tseries\tsamples accepted\tin its shard\tdied with it")
		for i, h := range d.hosts {
			stats, _ := h.stats()
			part := r.Shards[i]
			row("%s\t%s\t%s\t%s\t%s\t%s", h.name, thousands(homes[i]), thousands(part.Series),
				thousands(stats.Received), thousands(part.Samples), thousands(part.Died))
		}
	})
}

func (d *demo) printAccount(r *account.Result, c account.Checks) {
	table(d.Out, func(row func(string, ...any)) {
		row("submitted (by the gateways' own record)\t%s", thousands(r.Submitted))
		row("submitted (by the exporter's counter)\t%s", thousands(c.ExporterSubmitted))
		row("in the shards, each (series, timestamp) once\t%s", thousands(r.Stored))
		row("died with the hub\t%s", thousands(r.Died))
		if r.Repeated > 0 {
			row("submitted again with the same timestamp\t%s", thousands(r.Repeated))
		}
		row("lost\t%s", thousands(r.Lost.Samples))
		if n := d.refused.Load(); n > 0 {
			row("refused by Submit, so not submitted\t%s", thousands(n))
		}
		if n := r.Guests.Samples; n > 0 {
			row("of other gateways, which somebody else pushed\t%s", thousands(n))
		}
		row("\t")
		row("series of gateways in the shards\t%s", thousands(r.GatewaySeries))
		row("%s by the query API\t%s", gatewaySeries, thousands(c.Counted))
		row("counted twice, at the end and at any time before\t%s", thousands(r.Twice(c)))
		if r.Copies > 0 {
			row("samples that a second shard holds too (merged by queries)\t%s", thousands(r.Copies))
		}
	})
}

// printTakeover says which shards have something of the gateways whose home the killed
// hub is.
func (d *demo) printTakeover(r *account.Result) {
	if d.chaos.killedAt.IsZero() {
		return
	}
	killed := d.chaos.hub
	taken := make([]int, len(d.hosts))
	total, stayed := 0, 0
	for _, s := range r.Sources {
		if !s.Gateway || d.ring.Owner(s.Name).Name != d.hosts[killed].name {
			continue
		}
		total++
		if by := s.TakenBy(killed); by >= 0 {
			taken[by]++
		} else {
			stayed++
		}
	}
	say(d.Out, "%s was killed. Who took over its %s gateways:\n", d.hosts[killed].name, thousands(total))
	share := func(n int) float64 { return 100 * float64(n) / float64(max(total, 1)) }
	table(d.Out, func(row func(string, ...any)) {
		row("hub\tgateways\tshare")
		for i, h := range d.hosts {
			if i != killed {
				row("%s\t%s\t%.1f %%", h.name, thousands(taken[i]), share(taken[i]))
			}
		}
		if stayed > 0 {
			row("none\t%s\t%.1f %%", thousands(stayed), share(stayed))
		}
	})
}

func (d *demo) printVerdict(faults []string, undelivered *exporter.UndeliveredError) error {
	if undelivered != nil {
		say(d.Out, "The exporter gave up: %v.", undelivered)
	}
	if len(faults) == 0 {
		say(d.Out, "The account adds up: nothing lost, nothing counted twice.")
		return nil
	}
	for _, fault := range faults {
		say(d.Out, "FAILED: %s.", fault)
	}
	return errAccount
}
