package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"
)

// format changes with the data that a shape has, so that older ones are made anew.
const format = 1

// Set is a data set on disk.
type Set struct {
	Shape Shape `json:"shape"`
	Start int64 `json:"start"` // of the first minute, in milliseconds
	// How long it took to make.
	DaySeconds  float64 `json:"day_seconds"`
	LiveSeconds float64 `json:"live_seconds"`

	dir   string
	fleet *fleet
}

const wholeData = "whole"

func partData(parts, p int) string {
	return filepath.Join(fmt.Sprintf("of-%d", parts), strconv.Itoa(p))
}

// Whole is the folder of the data of one server, and Part that of one of several.
func (s *Set) Whole() string { return filepath.Join(s.dir, wholeData) }

// Part is the folder of one part's data.
func (s *Set) Part(parts, p int) string { return filepath.Join(s.dir, partData(parts, p)) }

// Dir is the set's folder, for what belongs to it and others make.
func (s *Set) Dir() string { return s.dir }

// End is the time of the end, in milliseconds: that of the last sample is within the
// minute before it.
func (s *Set) End() int64 { return s.Start + Minutes*Minute }

// SeriesCount is the number of all series that are pushed.
func (s *Set) SeriesCount() int { return len(s.fleet.series) - s.Shape.Gateways }

// PartSeries is how many of them each part has in the end.
func (s *Set) PartSeries(parts int) ([]int, error) {
	d, err := s.fleet.divide(parts)
	if err != nil {
		return nil, err
	}
	var out []int
	for _, l := range s.fleet.lanes(&d) {
		n := 0
		for _, src := range l.sources {
			n += len(s.fleet.sources[src].series)
		}
		out = append(out, n)
	}
	return out, nil
}

// MovesAt is the minute in which each of the gateways that move does it first.
func (s *Set) MovesAt() []int {
	var out []int
	for g := range s.Shape.Moves {
		out = append(out, s.fleet.staysOf(g, []int{0, 1})[0].to)
	}
	return out
}

// Open returns the set of a shape in a folder below dir, and makes it if it is not there, not
// whole, or lacks one of the shape's divisions. say gets a line for each step.
func Open(ctx context.Context, dir string, shape Shape, programs Programs, say func(format string, args ...any)) (*Set, error) {
	s := &Set{dir: filepath.Join(dir, shape.folder()), Shape: shape, fleet: newFleet(shape)}
	there, err := s.read()
	if err != nil || there {
		if there {
			say("using the data in %s", s.dir)
		}
		return s, err
	}
	if err := os.RemoveAll(s.dir); err != nil { // what a run that was broken off has left
		return nil, err
	}
	if err := s.build(ctx, programs, say); err != nil {
		return nil, errors.Join(fmt.Errorf("make the data: %w", err), os.RemoveAll(s.dir))
	}
	return s, nil
}

// folder is a name that follows from what the data are, but not from their divisions.
func (s Shape) folder() string {
	s.Parts = nil
	content, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a shape is no JSON: " + err.Error())
	}
	return fmt.Sprintf("querybench-%d-%016x", format, hashOf(string(content)))
}

// read reads what is there, if that has all that is wanted. If it does not, what it has is
// wanted from then on, too: it will be made with the rest.
func (s *Set) read() (there bool, err error) {
	content, err := os.ReadFile(s.mark())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	var found Set
	if err := json.Unmarshal(content, &found); err != nil {
		return false, fmt.Errorf("read %s: %w", s.mark(), err)
	}
	all := slices.Concat(found.Shape.Parts, s.Shape.Parts)
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > len(found.Shape.Parts) {
		s.Shape.Parts = all
		return false, nil
	}
	s.Start, s.DaySeconds, s.LiveSeconds = found.Start, found.DaySeconds, found.LiveSeconds
	return true, nil
}

// mark is the file that says that a set is whole.
func (s *Set) mark() string { return filepath.Join(s.dir, "set.json") }

func (s *Set) build(ctx context.Context, programs Programs, say func(format string, args ...any)) error {
	var divisions []division
	for _, n := range s.Shape.Parts {
		d, err := s.fleet.divide(n)
		if err != nil {
			return err
		}
		divisions = append(divisions, d)
	}
	began := time.Now()
	s.Start = began.UnixMilli()/Minute*Minute - Minutes*Minute
	say("making the data in %s: %d series, %d samples each", s.dir, s.SeriesCount(), Minutes)
	err := s.fleet.writeDay(ctx, s.dir, s.Start, divisions, func(n, of int) { say("  %d of %d blocks of the day", n, of) })
	if err != nil {
		return err
	}
	s.DaySeconds = time.Since(began).Seconds()
	began = time.Now()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(divisionsAtOnce)
	for i := -1; i < len(divisions); i++ {
		g.Go(func() error {
			var d *division
			into := "one server"
			if i >= 0 {
				d = &divisions[i]
				into = strconv.Itoa(d.parts)
			}
			say("  the last hour, through hubs, into %s", into)
			return s.fleet.writeLive(gctx, s.dir, s.Start, programs, d)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	s.LiveSeconds = time.Since(began).Seconds()
	say("made in %.0f s, %.0f of them the last hour", s.DaySeconds+s.LiveSeconds, s.LiveSeconds)
	content, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(s.mark(), content, 0o644)
}

// Bytes is how large a folder is.
func Bytes(dir string) (int64, error) {
	var sum int64
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	return sum, err
}
