// Package check says whether Thanos' ruler would load a rule file, and writes the
// copy that it is given.
//
// A file is decoded strictly, validated by Prometheus' own code, and written anew
// from what was understood. The copy is then taken through what the ruler does
// to it; only if the same rules come out is the file good.
package check

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

// group is a group as Thanos takes it.
type group struct {
	rulefmt.RuleGroup `yaml:",inline"`
	Strategy          string `yaml:"partial_response_strategy,omitempty"`
}

type ruleFile struct {
	Groups []group `yaml:"groups"`
}

// Config is how files are checked.
type Config struct {
	Partial         PartialResponse // for groups that say nothing
	ExpressionBytes int             // limit of one expression
	Experimental    bool            // whether the ruler knows PromQL's experimental functions
}

// Checker checks files. It may be used by several goroutines.
type Checker struct {
	config Config
	parser parser.Parser
}

// New returns a Checker.
func New(config Config) *Checker {
	return &Checker{config: config, parser: parser.NewParser(parser.Options{EnableExperimentalFunctions: config.Experimental})}
}

// Result is a good file.
type Result struct {
	Published []byte            // the copy for the ruler
	Groups    int               // number of groups
	Warnings  []problem.Problem // what is odd and loads all the same
}

// File checks the content of a file; path is what problems name. If there are
// problems, the result means nothing.
func (c *Checker) File(path string, content []byte) (result Result, problems []problem.Problem) {
	f := report{path: path}
	// What a parser cannot stand is no reason to let go of all other files.
	defer func() {
		if r := recover(); r != nil {
			f.add(problem.Syntax, fmt.Errorf("cannot be parsed: %v", r))
			problems = f.problems
		}
	}()
	rules, ok := c.understand(&f, content)
	if !ok {
		return Result{}, f.problems
	}
	published, err := c.publish(rules)
	if err != nil {
		f.add(problem.Rule, err)
		return Result{}, f.problems
	}
	f.duplicates(rules)
	return Result{Published: published, Groups: len(rules.Groups), Warnings: f.warnings}, nil
}

// understand decodes and validates a file.
func (c *Checker) understand(f *report, content []byte) (*ruleFile, bool) {
	rules := &ruleFile{}
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	decoder.KnownFields(true)
	if err := decoder.Decode(rules); err != nil && !errors.Is(err, io.EOF) {
		f.yaml(err)
		return nil, false
	}
	var second any
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		f.warn(0, "has a second YAML document, which Prometheus and Thanos ignore")
	}
	f.locate(content)
	if !c.parseable(f, rules) {
		return nil, false
	}
	f.names(rules)
	// Unknown fields were refused above; the one that Prometheus does not know must pass.
	_, errs := rulefmt.Parse(content, true, model.UTF8Validation, c.parser, promslog.NewNopLogger())
	for _, err := range errs {
		if !groupName.MatchString(err.Error()) || len(f.problems) == 0 {
			f.add(problem.Rule, err)
		}
	}
	for i := range rules.Groups {
		g := &rules.Groups[i]
		if err := g.settleStrategy(c.config.Partial); err != nil {
			f.addAt(f.lines.group(g.Name), problem.Rule, err)
		}
	}
	return rules, len(f.problems) == 0
}

// groupName is how rulefmt begins what it has against the name of a group. It knows
// no line, so names says it before.
var groupName = regexp.MustCompile(`^\d+:\d+: [Gg]roupname`)

// names looks at the names of groups.
func (f *report) names(rules *ruleFile) {
	named := map[string]bool{}
	for i, g := range rules.Groups {
		if g.Name == "" {
			f.addAt(f.lines.number(i), problem.Rule, errors.New("a group has no name"))
		}
		if g.Name != "" && named[g.Name] {
			f.addAt(f.lines.number(i), problem.Rule, fmt.Errorf("there is another group %q in this file", g.Name))
		}
		named[g.Name] = true
	}
}

// deepest is how many parentheses may be open in an expression. To parse it takes the
// square of that: with some ten thousand, a minute.
const deepest = 500

// parseable looks at expressions before they are parsed.
func (c *Checker) parseable(f *report, rules *ruleFile) bool {
	for _, g := range rules.Groups {
		for i, r := range g.Rules {
			if err := c.small(r.Expr); err != nil {
				f.addAt(f.lines.rule(g.Name, i+1), problem.Limit, fmt.Errorf("group %q, rule %d: %w", g.Name, i+1, err))
			}
		}
	}
	return len(f.problems) == 0
}

func (c *Checker) small(expression string) error {
	if len(expression) > c.config.ExpressionBytes {
		return fmt.Errorf("the expression has %d bytes, more than the limit of %d", len(expression), c.config.ExpressionBytes)
	}
	open := 0
	for _, r := range expression { // those in texts are counted, too: there are not so many
		switch r {
		case '(':
			open++
		case ')':
			open--
		}
		if open > deepest {
			return fmt.Errorf("the expression has more than %d parentheses open", deepest)
		}
	}
	return nil
}
