// Package report prints what benchmarks found: tables, and goals that were
// reached or not.
package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Goals collects figures that must not be larger than something. It is for one
// goroutine at a time.
type Goals struct {
	// Tolerance is what every limit is multiplied with. 0 means 1.
	Tolerance float64

	lines  [][]string
	missed int
}

// AtMost notes a figure and its limit, both in the same unit.
func (g *Goals) AtMost(what string, got, limit float64, unit string) {
	verdict := "ok"
	if !(got <= limit*g.tolerance()) { // not a number is no success
		verdict = "MISSED"
		g.missed++
	}
	g.lines = append(g.lines, []string{what, Figure(got) + unit, "at most " + Figure(limit) + unit, verdict})
}

// AtLeast notes a figure that must not be less than its limit.
func (g *Goals) AtLeast(what string, got, limit float64, unit string) {
	before := g.missed
	g.AtMost(what, limit/got, 1, "")
	verdict := "ok"
	if g.missed > before {
		verdict = "MISSED"
	}
	g.lines[len(g.lines)-1] = []string{what, Figure(got) + unit, "at least " + Figure(limit) + unit, verdict}
}

// Note notes a figure that has no limit.
func (g *Goals) Note(what string, got float64, unit string) {
	g.lines = append(g.lines, []string{what, Figure(got) + unit, "", ""})
}

// Missed is the number of goals that were missed.
func (g *Goals) Missed() int { return g.missed }

// Write prints every goal with its verdict.
func (g *Goals) Write(w io.Writer) {
	goal := "goal"
	if g.tolerance() != 1 {
		goal += fmt.Sprintf(" (may be missed %vx)", g.tolerance())
	}
	Table(w, []string{"", "measured", goal, ""}, g.lines)
}

func (g *Goals) tolerance() float64 {
	if g.Tolerance == 0 {
		return 1
	}
	return g.Tolerance
}

// Figure writes a number with as many digits as are worth reading.
func Figure(x float64) string {
	switch {
	case x >= 1000:
		return Thousands(int64(x))
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	default:
		return fmt.Sprintf("%.3f", x)
	}
}

// Thousands writes a number with commas.
func Thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// Spread writes the median of several measurements and, where they differ, the
// least and the most.
func Spread(values []float64) string {
	sorted := slices.Sorted(slices.Values(values))
	median, low, high := Figure(Median(sorted)), Figure(sorted[0]), Figure(sorted[len(sorted)-1])
	if low == high {
		return median
	}
	return fmt.Sprintf("%s (%s-%s)", median, low, high)
}

// Median returns the middle value, or the mean of the two in the middle.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Quantile returns the value below which the share q of the values lies.
func Quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Table prints a Markdown table whose columns are aligned for readers of plain
// text, too. The first column is text, the others are figures.
func Table(w io.Writer, head []string, rows [][]string) {
	width := slices.Repeat([]int{2}, len(head)) // a rule has as many
	for _, row := range slices.Concat([][]string{head}, rows) {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	rule := make([]string, len(head))
	for i := range head {
		rule[i] = strings.Repeat("-", width[i]-1) + ":"
	}
	rule[0] = strings.Repeat("-", width[0])
	for _, row := range slices.Concat([][]string{head, rule}, rows) {
		cells := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(cell)))
			cells[i] = pad + cell
			if i == 0 {
				cells[i] = cell + pad
			}
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}
