package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// planReport is what plan prints: the plan, how keys are placed, and the fingerprints by
// which the controllers' rings can be told apart.
type planReport struct {
	BeforePlacement   string `json:"before_placement"`
	AfterPlacement    string `json:"after_placement"`
	BeforeFingerprint string `json:"before_fingerprint"`
	AfterFingerprint  string `json:"after_fingerprint"`
	DoubledFor        string `json:"doubled_for"`
	SplitFor          string `json:"split_for"`
	hashring.Plan
}

func planCommand(cmd *kingpin.CmdClause) command {
	from := hubsFlag(cmd, "from", "The hubs there are.")
	to := hubsFlag(cmd, "to", "The hubs there will be.")
	nameFormat := cmd.Flag("name-format", "The name of a hub by its number.").Default("edgehub-%d").String()
	placement := newPlacementFlag(cmd, "placement", "How keys are placed on hubs, before and after, where no file of hubs says it; rendezvous if nothing does.")
	placementBefore := newPlacementFlag(cmd, "placement-before", "How they are placed before the change, if that is not as after it.")
	var fleet fleetFlags
	cmd.Flag("gateways", "File with the ID of a gateway on each line and, after a space, its number of series; - is standard input.").
		PlaceHolder("FILE").StringVar(&fleet.file)
	fleet.count = number(cmd, "count", 347, 1, 10_000_000, "Without --gateways: how many there are.")
	fleet.series = number(cmd, "series", 303, 0, 1_000_000_000, "Series of a gateway for which nothing else is said.")
	fleet.noGateway = number(cmd, "no-gateway-series", 1500, 0, 1_000_000_000, "Series that belong to no gateway; they all have one home.")
	assign := cmd.Flag("assign", "Bound the load of each hub before and after, as controllers do that know their gateways.").Bool()
	slack := number(cmd, "slack", 0, 0, 1_000_000_000, "With --assign: series that a hub may have above its share; 0 chooses.")
	lookback := duration(cmd, "lookback", "5m", "Prometheus' --query.lookback-delta.")
	retention := duration(cmd, "retention", "15d", "How long the Prometheus servers keep samples.")
	output := cmd.Flag("output", "table or json.").Default("table").Enum("table", "json")
	svg := cmd.Flag("svg", "Also draw the plan into this file.").PlaceHolder("FILE").String()

	return func(_ context.Context, t terminal) error {
		if *slack > 0 && !*assign {
			return usageError{errors.New("--slack is of use only with --assign")}
		}
		c := change{from: from, to: to, placement: placement, placementBefore: placementBefore}
		before, after, err := c.rings(*nameFormat)
		if err := errors.Join(checkNameFormat(*nameFormat), err); err != nil {
			return err
		}
		loads, err := fleet.loads(t.in)
		if err != nil {
			return err
		}
		if *assign {
			if before, err = before.Assign(loads, *slack); err != nil {
				return err
			}
			if after, err = after.Assign(loads, *slack); err != nil {
				return err
			}
		}
		plan, err := hashring.Compare(before, after, loads, lookback.duration(), retention.duration())
		if err != nil {
			return err
		}
		byNumber(&plan)
		report := planReport{
			BeforePlacement:   c.before.String(),
			AfterPlacement:    c.after.String(),
			BeforeFingerprint: fmt.Sprintf("%016x", before.Fingerprint()),
			AfterFingerprint:  fmt.Sprintf("%016x", after.Fingerprint()),
			DoubledFor:        model.Duration(plan.DoubledFor).String(),
			SplitFor:          model.Duration(plan.SplitFor).String(),
			Plan:              plan,
		}
		if *svg != "" {
			if err := os.WriteFile(*svg, drawPlan(&plan), 0o644); err != nil {
				return fmt.Errorf("write --svg: %w", err)
			}
		}
		if *output == "json" {
			out := json.NewEncoder(t.out)
			out.SetIndent("", "  ")
			return out.Encode(report)
		}
		return printPlan(t.out, &report)
	}
}

// printPlan writes the plan for a person to read.
func printPlan(out io.Writer, p *planReport) error {
	var b bytes.Buffer // which takes everything, so that only the last write can fail
	fmt.Fprintf(&b, "From %d to %d hubs, %s keys with %s series.\n", p.Before.Nodes, p.After.Nodes, grouped(p.Keys), grouped(p.Series))
	fmt.Fprintf(&b, "%s keys move, with %s series: %s of them, where even shares need %s.\n", grouped(p.MovedKeys), grouped(p.MovedSeries), percent(p.MovedShare), percent(p.LeastShare))

	if p.BeforePlacement != p.AfterPlacement {
		fmt.Fprintf(&b, "Placed by %s before, by %s after.\n", p.BeforePlacement, p.AfterPlacement)
	} else if p.AfterPlacement != (method.Method{}).String() {
		fmt.Fprintf(&b, "Placed by %s before and after.\n", p.AfterPlacement)
	}

	if len(p.Moves) > 0 {
		fmt.Fprint(&b, "\nMoves\n")
		printTable(&b, "from\tto\tkeys\tseries\t", func(row rowWriter) {
			for _, m := range p.Moves {
				row("%s\t%s\t%s\t%s\t", m.From, m.To, grouped(m.Keys), grouped(m.Series))
			}
		})
	}
	fmt.Fprint(&b, "\nSeries of each hub\n")
	printTable(&b, "hub\tbefore\tafter\tchange\tkeys before\tafter\t", func(row rowWriter) {
		for _, n := range p.Nodes {
			before, after := n.Before, n.After
			row("%s\t%s\t%s\t%s\t%s\t%s\t", n.Name, orNone(before, before.Series), orNone(after, after.Series),
				signed(after.Series-before.Series), orNone(before, before.Keys), orNone(after, after.Keys))
		}
	})
	fmt.Fprint(&b, "\nBalance, in series\n")
	printTable(&b, "\tleast\taverage\tmost\tbusiest hub\tabove its share\t", func(row rowWriter) {
		for i, side := range []hashring.Balance{p.Before, p.After} {
			row("%s\t%s\t%s\t%s\t%s\t%s\t", []string{"before", "after"}[i], grouped(side.Least), grouped(int(side.Average+0.5)),
				grouped(side.Most), side.Busiest, grouped(side.Above))
		}
	})
	if p.MovedSeries > 0 {
		fmt.Fprintf(&b, "\nFor %s after the change a query finds moved series at their old hub, too, and counts them twice unless the\nquerier deduplicates shards (Thanos: --query.replica-label). Their past stays at the old hub's Prometheus: keep it\nqueried, and a hub that goes running, for the retention of %s.\n", p.DoubledFor, p.SplitFor)
	}
	fmt.Fprintf(&b, "\nRing fingerprints: %s before, %s after.\n", p.BeforeFingerprint, p.AfterFingerprint)
	_, err := out.Write(b.Bytes())
	return err
}

func orNone(s hashring.Share, n int) string {
	if s.Weight == 0 {
		return "-"
	}
	return grouped(n)
}
