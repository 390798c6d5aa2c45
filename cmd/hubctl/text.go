package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/hubring/hubring/hashring"
)

// grouped writes 1234567 as 1,234,567.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// signed writes a change: +1,234 or -1,234.
func signed(n int) string {
	if n > 0 {
		return "+" + grouped(n)
	}
	return grouped(n)
}

// rowWriter writes a row of a table, each cell ended by a tab.
type rowWriter func(format string, cells ...any)

// printTable writes a table with its columns aligned on the right.
func printTable(out *bytes.Buffer, header string, fill func(row rowWriter)) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, header)
	fill(func(format string, cells ...any) { fmt.Fprintf(w, format+"\n", cells...) })
	if err := w.Flush(); err != nil {
		panic("BUG: a buffer refused to grow: " + err.Error())
	}
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// byNumber sorts a plan's hubs as people count: hub-2 before hub-10.
func byNumber(p *hashring.Plan) {
	slices.SortFunc(p.Nodes, func(a, b hashring.NodeChange) int { return compareNumbered(a.Name, b.Name) })
	slices.SortFunc(p.Moves, func(a, b hashring.Move) int {
		return cmp.Or(compareNumbered(a.From, b.From), compareNumbered(a.To, b.To))
	})
}

// compareNumbered compares names with the numbers in them as numbers.
func compareNumbered(a, b string) int {
	for restA, restB := a, b; restA != "" && restB != ""; {
		var partA, partB string
		partA, restA = cutPart(restA)
		partB, restB = cutPart(restB)
		order := cmp.Compare(partA, partB)
		if isDigit(partA[0]) && isDigit(partB[0]) {
			partA, partB = strings.TrimLeft(partA, "0"), strings.TrimLeft(partB, "0")
			order = cmp.Or(cmp.Compare(len(partA), len(partB)), cmp.Compare(partA, partB))
		}
		if order != 0 {
			return order
		}
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// cutPart cuts off the digits that s begins with, or all before its first digit.
func cutPart(s string) (part, rest string) {
	end := 1
	for end < len(s) && isDigit(s[end]) == isDigit(s[0]) {
		end++
	}
	return s[:end], s[end:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
