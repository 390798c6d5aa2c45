package check

import (
	"fmt"
	"maps"

	"github.com/prometheus/prometheus/model/labels"
)

// duplicates warns of rules that have name and labels in common, as promtool's lint
// does: two recording rules would write the same series.
func (f *report) duplicates(rules *ruleFile) {
	times := map[string]int{}
	for _, g := range rules.Groups {
		for i, r := range g.Rules {
			all := maps.Clone(g.Labels)
			if all == nil {
				all = map[string]string{}
			}
			maps.Copy(all, r.Labels)
			name := r.Alert + r.Record // one of them is empty
			key := name + labels.FromMap(all).String()
			if times[key]++; times[key] == 2 {
				f.warn(f.lines.rule(g.Name, i+1), fmt.Sprintf("group %q, rule %d: there is another rule %s with the same labels in this file", g.Name, i+1, name))
			}
		}
	}
}
