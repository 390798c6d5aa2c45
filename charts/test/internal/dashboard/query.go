package dashboard

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/prometheus/prometheus/promql/parser"
)

// rateInterval is what Grafana replaces by four scrape intervals or more.
const rateInterval = "$__rate_interval"

// variable is one as a query has it.
var variable = regexp.MustCompile(`\$\{?(\w+)\}?`)

// Expand returns a query as Grafana sends it. A variable without a value is an error.
func Expand(expr string, values map[string]string) (string, error) {
	var unknown []string
	text := variable.ReplaceAllStringFunc(expr, func(found string) string {
		name := variable.FindStringSubmatch(found)[1]
		value, ok := values[name]
		if !ok {
			unknown = append(unknown, found)
		}
		return value
	})
	if unknown != nil {
		return "", fmt.Errorf("expand %q: no variable is called %q", expr, unknown)
	}
	return text, nil
}

// Use is a selector and what is made of it.
type Use struct {
	*parser.VectorSelector
	// Calls are the functions around it, the innermost first.
	Calls []string
}

// Uses returns the selectors of a query that has been expanded, in their order.
func Uses(expr string) ([]Use, error) {
	tree, err := parser.NewParser(parser.Options{}).ParseExpr(expr)
	if err != nil {
		return nil, fmt.Errorf("parse %q: %w", expr, err)
	}
	var uses []Use
	parser.Inspect(tree, func(node parser.Node, path []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		u := Use{VectorSelector: selector}
		for _, above := range slices.Backward(path) {
			if call, ok := above.(*parser.Call); ok {
				u.Calls = append(u.Calls, call.Func.Name)
			}
		}
		uses = append(uses, u)
		return nil
	})
	return uses, nil
}
