// Table prints the comparison as Markdown, for the README.
package main

import (
	"fmt"
	"time"

	"github.com/hubring/hubring/hashring/compare"
)

func main() {
	fmt.Println("| | lookup | allocs | lookup, 1,000 hubs | build | build, 1,000 hubs | busiest hub | moves, one more | moves, one less | astray | failover, most |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for _, c := range compare.Contenders() {
		lookup, allocs := c.Lookup(10)
		large := "cannot"
		build := text(c.Build(10))
		buildLarge, err := c.Build(1000)
		if err == nil {
			d, _ := c.Lookup(1000)
			large = d.String()
		}
		q := c.Place()
		failover := "no order"
		if q.Failover > 0 {
			failover = fmt.Sprintf("%.2f", q.Failover)
		}
		fmt.Printf("| %s | %s | %.0f | %s | %s | %s | %.2f | %.2f | %.2f | %.1f %% | %s |\n", c.Name, lookup, allocs, large,
			build, text(buildLarge, err), q.Balance, q.Grow, q.Shrink, 100*q.Stray, failover)
	}
}

func text(d time.Duration, err error) string {
	switch {
	case err != nil:
		return "panics"
	case d < 100*time.Microsecond:
		return fmt.Sprintf("%.3f ms", d.Seconds()*1000)
	default:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
}
