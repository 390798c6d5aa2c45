package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/hubring/hubring/e2e/internal/report"
	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
)

// report prints the tables.
func (b *bench) report(w io.Writer) error {
	if err := b.preface(w); err != nil {
		return err
	}
	whole, odd := b.split()
	others := b.columns[1:]
	if len(whole) > 0 {
		fmt.Fprintf(w, "\n## CPU: milliseconds of the slowest shard + what merges (of all processes), and how many times faster than A, asked beside\n\n")
		b.table(w, whole, others, (*cell).costs)
		fmt.Fprintf(w, "\n## Wall clock, milliseconds\n\n")
		b.table(w, whole, others, func(c *cell) string { return report.Figure(c.cost.Wall * 1e3) })
		fmt.Fprintf(w, "\n## Highest memory, MiB: slowest shard + what merges\n\n")
		b.table(w, whole, others, (*cell).memory)
	}
	if len(odd) > 0 {
		fmt.Fprintf(w, "\n## At times and steps of parts of a second, asked once: CPU as above\n\n")
		b.table(w, odd, others, (*cell).costs)
	}
	b.equality(w)
	return nil
}

// preface says what was measured.
func (b *bench) preface(w io.Writer) error {
	set := b.hall.set
	bytes, err := dataset.Bytes(set.Whole())
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s series of %d gateways and of none, a sample a minute for a day in blocks of two hours and an hour in the head; %d gateways move.\n",
		report.Thousands(int64(set.SeriesCount())), set.Shape.Gateways, set.Shape.Moves)
	fmt.Fprintf(w, "On disk %s MB whole. The data took %s s for the day and %s s for the hour through hubs.\n",
		report.Thousands(bytes/1e6), report.Figure(set.DaySeconds), report.Figure(set.LiveSeconds))
	for _, n := range set.Shape.Parts {
		series, err := set.PartSeries(n)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "In %d parts: %s series.\n", n, strings.Trim(fmt.Sprint(series), "[]"))
	}
	fmt.Fprintln(w)
	for _, m := range modes {
		fmt.Fprintf(w, "- %s: %s\n", m.letter, m.what)
	}
	for _, line := range b.leftOut {
		fmt.Fprintf(w, "\n%s\n", line)
	}
	return nil
}

// split tells queries at whole seconds from the others.
func (b *bench) split() (whole, odd []ask.Query) {
	for _, q := range b.queries {
		if q.Fraction {
			odd = append(odd, q)
		} else {
			whole = append(whole, q)
		}
	}
	return whole, odd
}

// table prints a row for each query: what one Prometheus took, and each system.
func (b *bench) table(w io.Writer, queries []ask.Query, columns []*column, show func(*cell) string) {
	head := []string{"query", modeOne}
	for _, col := range columns {
		head = append(head, col.name)
	}
	var rows [][]string
	for _, q := range queries {
		row := []string{q.Name, show(b.columns[0].cells[q.Name])}
		for _, col := range columns {
			text := "failed"
			if c := col.cells[q.Name]; c.failed == "" {
				text = show(c)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	report.Table(w, head, rows)
}

func (c *cell) costs() string {
	if c.cost == c.beside {
		return report.Figure(c.cost.Path * 1e3)
	}
	if c.cost.Merge == 0 || c.cost.Shard == 0 {
		return fmt.Sprintf("%s (%s) %.2fx", report.Figure(c.cost.Path*1e3), report.Figure(c.cost.All*1e3), c.ratio())
	}
	return fmt.Sprintf("%s + %s (%s) %.2fx", report.Figure(c.cost.Shard*1e3), report.Figure(c.cost.Merge*1e3), report.Figure(c.cost.All*1e3), c.ratio())
}

func (c *cell) memory() string {
	mib := func(n int64) string { return strconv.FormatInt(n>>20, 10) }
	switch {
	case c.cost.ShardRSS == 0:
		return mib(c.cost.MergeRSS)
	case c.cost.MergeRSS == 0:
		return mib(c.cost.ShardRSS)
	default:
		return mib(c.cost.ShardRSS) + " + " + mib(c.cost.MergeRSS)
	}
}

// equality says which answers are those of one Prometheus.
func (b *bench) equality(w io.Writer) {
	fmt.Fprintf(w, "\n## Answers equal to A's, within one part in 1e9\n\n")
	for _, col := range b.columns[1:] {
		if col.mode == modeBound {
			continue
		}
		equal := 0
		var lines []string
		for _, q := range b.queries {
			switch c := col.cells[q.Name]; {
			case c.failed != "":
				lines = append(lines, fmt.Sprintf("  - %s failed: %.300s", q.Name, c.failed))
			case c.differs != "":
				lines = append(lines, fmt.Sprintf("  - %s: %.300s", q.Name, c.differs))
			default:
				equal++
			}
		}
		fmt.Fprintf(w, "- %s: %d of %d\n", col.name, equal, len(b.queries))
		for _, line := range lines {
			fmt.Fprintln(w, line)
		}
	}
}
