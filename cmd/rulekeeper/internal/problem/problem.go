// Package problem says what is wrong with rule files, and where.
package problem

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Reason is why rules were not taken, in a word: a metric's label.
type Reason string

// The reasons.
const (
	Read     Reason = "read"     // a file or its directory could not be read, or is no regular file
	Changing Reason = "changing" // the files did not stay as they were while they were read
	Limit    Reason = "limit"    // a file, an expression or the set is too large
	Syntax   Reason = "syntax"   // not YAML, or not the fields of a rule file
	Rule     Reason = "rule"     // a group or a rule that Prometheus or Thanos would not take
	Write    Reason = "write"    // the set could not be published
	Ruler    Reason = "ruler"    // the ruler did not take the set
	Waiting  Reason = "waiting"  // the ruler does not answer; nothing is refused
)

// Refusals are the reasons for which a set is refused.
func Refusals() []Reason {
	return []Reason{Read, Changing, Limit, Syntax, Rule, Write, Ruler}
}

// Problem is one thing that is wrong.
type Problem struct {
	File   string // path as the pattern named it; empty if no file is at fault
	Line   int    // counted from 1; 0 if it is not known
	Reason Reason
	Text   string
}

// String is the problem as compilers write it: file, line, text.
func (p Problem) String() string {
	var b strings.Builder
	if p.File != "" {
		b.WriteString(p.File + ":")
		if p.Line > 0 {
			fmt.Fprintf(&b, "%d:", p.Line)
		}
		b.WriteByte(' ')
	}
	b.WriteString(p.Text)
	return b.String()
}

// Sort orders problems by file, line and text, so that the same ones are equal.
func Sort(all []Problem) {
	slices.SortFunc(all, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), strings.Compare(a.Text, b.Text))
	})
}

// Reasons returns the distinct reasons among problems, sorted.
func Reasons(all []Problem) []Reason {
	var reasons []Reason
	for _, p := range all {
		reasons = append(reasons, p.Reason)
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}
