package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hubring/hubring/e2e/internal/realbin"
	"github.com/hubring/hubring/e2e/internal/stack"
	"github.com/hubring/hubring/e2e/querybench/internal/ask"
	"github.com/hubring/hubring/e2e/querybench/internal/dataset"
)

// run makes the data, asks, and prints what was found.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	work, err := os.MkdirTemp("", "hubring-querybench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	p, err := build(ctx, work, o)
	if err != nil {
		return err
	}
	keep := o.keep
	if keep == "" {
		keep = work
	}
	set, err := dataset.Open(ctx, keep, o.shape, dataset.Programs{Prometheus: p.prometheus, EdgeHub: p.edgehub}, say)
	if err != nil {
		return err
	}
	b := &bench{options: o, hall: &hall{set: set, programs: p, dir: filepath.Join(work, "run")}, meter: meter{warm: o.warm}}
	b.queries = b.chosen(ask.All(set))
	if len(b.queries) == 0 {
		return fmt.Errorf("no query's name contains any of %q", o.only)
	}
	if err := b.all(ctx); err != nil {
		return err
	}
	if err := b.report(out); err != nil {
		return err
	}
	if o.svg != "" {
		if err := os.WriteFile(o.svg, b.draw(), 0o644); err != nil {
			return err
		}
	}
	if b.wrong() {
		return errDiffers
	}
	return nil
}

// build builds what the options need, those of the checkout into a folder.
func build(ctx context.Context, dir string, o options) (programs, error) {
	checkout, err := realbin.Checkout(".")
	if err != nil {
		return programs{}, err
	}
	real, err := realbin.Dir(ctx, checkout, os.Stderr)
	if err != nil {
		return programs{}, err
	}
	p := programs{prometheus: filepath.Join(real, realbin.Prometheus), thanos: filepath.Join(real, realbin.Thanos)}
	if p.edgehub, err = stack.BuildHub(ctx, checkout, dir, false); err != nil {
		return p, err
	}
	p.hubquery = o.hubquery
	if (slices.Contains(o.modes, modeShards) || slices.Contains(o.modes, modeVictorias)) && p.hubquery == "" {
		if p.hubquery, err = buildHubquery(ctx, checkout, dir); err != nil {
			return p, err
		}
	}
	if slices.Contains(o.modes, modeVictoria) || slices.Contains(o.modes, modeVictorias) {
		victoria, err := realbin.QueriesDir(ctx, checkout, os.Stderr)
		if err != nil {
			return p, err
		}
		p.victoria = filepath.Join(victoria, realbin.VictoriaMetrics151)
	}
	return p, nil
}

// buildHubquery builds cmd/hubquery, which is a module of its own.
func buildHubquery(ctx context.Context, checkout, dir string) (string, error) {
	source := filepath.Join(checkout, "cmd", "hubquery")
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	binary := filepath.Join(dir, "hubquery")
	say("building hubquery")
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags=-s -w", "-o", binary, ".")
	cmd.Dir = source
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build hubquery: %w\n%s", err, out)
	}
	return binary, nil
}

// bench is a run.
type bench struct {
	options
	hall    *hall
	meter   meter
	queries []ask.Query

	one     *system
	answers map[string]*ask.Answer // of one Prometheus, by query
	columns []*column
	leftOut []string
}

// column is what was found of one system.
type column struct {
	mode, name string
	cells      map[string]*cell // by query
}

// cell is what was found of one query.
type cell struct {
	cost, beside cost   // beside is one Prometheus, asked at the same time
	differs      string // how the answer differs from that one's
	failed       string
}

func (b *bench) chosen(all []ask.Query) []ask.Query {
	return slices.DeleteFunc(all, func(q ask.Query) bool {
		if q.Fraction && !b.fraction {
			return true
		}
		return len(b.only) > 0 && !slices.ContainsFunc(b.only, func(part string) bool { return strings.Contains(q.Name, part) })
	})
}

// all measures every system, those of the same parts one after the other over the same
// servers.
func (b *bench) all(ctx context.Context) (err error) {
	b.answers = map[string]*ask.Answer{}
	if b.one, err = b.hall.one(ctx); err != nil {
		return err
	}
	defer func() { b.one.stop() }()
	if err := b.measure(ctx, b.one); err != nil {
		return err
	}
	if slices.Contains(b.modes, modeVictoria) {
		v, err := b.hall.victoria(ctx)
		if err != nil {
			return err
		}
		err = b.measure(ctx, v)
		v.stop()
		if err != nil {
			return err
		}
	}
	for _, n := range b.shape.Parts {
		if err := b.divided(ctx, n); err != nil {
			return err
		}
		if slices.Contains(b.modes, modeVictorias) {
			if err := b.victorias(ctx, n); err != nil {
				return err
			}
		}
	}
	b.sumUp()
	return nil
}

// others says whether anything but one Prometheus is measured.
func (b *bench) others() bool {
	return slices.ContainsFunc(b.modes, func(mode string) bool { return mode != modeOne })
}

// sumUp takes what one Prometheus cost beside the others for what it costs.
func (b *bench) sumUp() {
	for name, c := range b.columns[0].cells {
		var beside []cost
		for _, col := range b.columns[1:] {
			if other := col.cells[name]; other.failed == "" && other.beside != c.cost {
				beside = append(beside, other.beside)
			}
		}
		if len(beside) > 0 {
			c.cost = middle(beside)
			c.beside = c.cost
		}
	}
}

func (b *bench) divided(ctx context.Context, parts int) error {
	var over []string
	for _, mode := range b.modes {
		switch mode {
		case modeShards:
			if b.hall.programs.hubquery == "" {
				b.leftOut = append(b.leftOut, "S is left out: this checkout has no cmd/hubquery.")
				continue
			}
			over = append(over, mode)
		case modeThanos, modeDistributed, modeBound:
			over = append(over, mode)
		}
	}
	if len(over) == 0 {
		return nil
	}
	say("starting %d servers", parts)
	shards, err := b.hall.shards(ctx, parts)
	defer func() { shards.stop() }()
	if err != nil {
		return err
	}
	for _, mode := range over {
		if mode == modeBound {
			if err := b.measure(ctx, shards); err != nil {
				return err
			}
			continue
		}
		s, err := b.hall.over(ctx, mode, shards)
		if err != nil {
			return err
		}
		err = b.measure(ctx, s)
		s.stop()
		if err != nil {
			return err
		}
	}
	return nil
}

// victorias measures hubquery over so many VictoriaMetrics.
func (b *bench) victorias(ctx context.Context, parts int) error {
	shards, err := b.hall.victorias(ctx, parts)
	defer func() { shards.stop() }()
	if err != nil {
		return err
	}
	s, err := b.hall.over(ctx, modeVictorias, shards)
	if err != nil {
		return err
	}
	defer s.stop()
	return b.measure(ctx, s)
}

// measure asks a system every query, and one Prometheus right beside.
func (b *bench) measure(ctx context.Context, s *system) error {
	col := &column{mode: s.mode, name: s.name, cells: map[string]*cell{}}
	b.columns = append(b.columns, col)
	for i, q := range b.queries {
		c := &cell{}
		col.cells[q.Name] = c
		ask := b.meter.several
		if q.Fraction || s == b.one && b.others() { // that one is asked again beside each of the others
			ask = b.meter.once
		}
		var err error
		beside := s != b.one && !q.Fraction && b.warm > 0
		if beside {
			if c.beside, _, err = ask(ctx, b.one, q); err != nil {
				return err
			}
		}
		cost, answer, err := ask(ctx, s, q)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.cost = cost
		switch {
		case err != nil && s == b.one:
			return err
		case err != nil:
			c.failed = err.Error()
		case s == b.one:
			b.answers[q.Name] = answer
			c.beside = c.cost
		default:
			if !beside {
				c.beside = b.columns[0].cells[q.Name].cost
			}
			c.differs = b.compare(q, answer)
		}
		say("%s: %d of %d, %s: %s", s.name, i+1, len(b.queries), q.Name, c.line())
	}
	return nil
}

// compare says how an answer differs from the one Prometheus'; the bound has none.
func (b *bench) compare(q ask.Query, answer *ask.Answer) string {
	if answer == nil {
		return ""
	}
	return ask.Difference(q.Rule, b.answers[q.Name], answer)
}

// line sums a cell up for the progress.
func (c *cell) line() string {
	if c.failed != "" {
		return c.failed
	}
	text := fmt.Sprintf("%.3f s, %.2f x", c.cost.Path, c.ratio())
	if c.differs != "" {
		text += ", differs: " + c.differs
	}
	return text
}

// ratio is how many times less than one Prometheus it takes on the critical path.
func (c *cell) ratio() float64 { return c.beside.Path / c.cost.Path }

// wrong says whether a system that must answer as one Prometheus does did not.
func (b *bench) wrong() bool {
	for _, col := range b.columns {
		for _, c := range col.cells {
			if equalByRight(col.mode) && (c.differs != "" || c.failed != "") {
				return true
			}
		}
	}
	return false
}
