// Package bounded is PromQL's parser for text of anybody: an expression has a most, since
// one that is nested a million times takes the process with it.
package bounded

import (
	"fmt"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// MostBytes is how long an expression may be, without what is between quotes: lists of
// gateways may be long, operators and brackets may not be many.
const MostBytes = 16 << 10

// Reserved begins the labels by which hubquery tells apart what it asks at a time. Nobody's expression may have them.
const Reserved = "__hubquery_"

// Parser is a parser that refuses what is longer than MostBytes, and Reserved labels. The Parser inside is for what hubquery writes itself.
type Parser struct{ parser.Parser }

// ParseExpr implements parser.Parser.
func (p Parser) ParseExpr(input string) (parser.Expr, error) {
	if err := check(input); err != nil {
		return nil, err
	}
	return p.Parser.ParseExpr(input)
}

// ParseMetricSelector implements parser.Parser.
func (p Parser) ParseMetricSelector(input string) ([]*labels.Matcher, error) {
	if err := check(input); err != nil {
		return nil, err
	}
	return p.Parser.ParseMetricSelector(input)
}

// ParseMetricSelectors implements parser.Parser.
func (p Parser) ParseMetricSelectors(inputs []string) ([][]*labels.Matcher, error) {
	for _, input := range inputs {
		if err := check(input); err != nil {
			return nil, err
		}
	}
	return p.Parser.ParseMetricSelectors(inputs)
}

func check(input string) error {
	if strings.Contains(input, Reserved) {
		return fmt.Errorf("labels that begin with %s are hubquery's own", Reserved)
	}
	n, quote := 0, byte(0)
	for i := 0; i < len(input); i++ {
		c := input[i]
		switch {
		case quote == 0:
			n++
			if c == '"' || c == '\'' || c == '`' {
				quote = c
			}
		case c == quote:
			quote = 0
		case c == '\\' && quote != '`':
			i++
		}
	}
	if n > MostBytes {
		return fmt.Errorf("the expression has %d bytes outside of quotes, more than %d: ask for parts of it one by one, or record them by rules", n, MostBytes)
	}
	return nil
}
