package check

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

// report collects what is wrong and what is odd about one file.
type report struct {
	path     string
	lines    lines
	problems []problem.Problem
	warnings []problem.Problem
}

func (f *report) locate(content []byte) { f.lines = findLines(content) }

func (f *report) addAt(line int, reason problem.Reason, err error) {
	f.problems = append(f.problems, problem.Problem{File: f.path, Line: line, Reason: reason, Text: err.Error()})
}

func (f *report) warn(line int, text string) {
	f.warnings = append(f.warnings, problem.Problem{File: f.path, Line: line, Reason: problem.Rule, Text: text})
}

// position is how rulefmt begins a message that it has a place for, "3:5: " or
// twice that, and how yaml tells one.
var (
	position = regexp.MustCompile(`^(\d+):\d+: (?:\d+:\d+: )?`)
	yamlLine = regexp.MustCompile(`line (\d+): `)
)

// add takes the line out of a message of rulefmt, or finds the rule's own.
func (f *report) add(reason problem.Reason, err error) {
	text, line := err.Error(), 0
	if at := position.FindStringSubmatch(text); at != nil {
		line, _ = strconv.Atoi(at[1])
		text = text[len(at[0]):]
	}
	var of *rulefmt.Error
	if line == 0 && errors.As(err, &of) {
		line = f.lines.rule(of.Group, of.Rule)
	}
	f.addAt(line, reason, errors.New(text))
}

// yaml takes an error of the decoder apart: it may hold one a line.
func (f *report) yaml(err error) {
	messages := []string{strings.TrimPrefix(err.Error(), "yaml: ")}
	var several *yaml.TypeError
	if errors.As(err, &several) {
		messages = several.Errors
	}
	for _, text := range messages {
		line := 0
		if at := yamlLine.FindStringSubmatchIndex(text); at != nil {
			line, _ = strconv.Atoi(text[at[2]:at[3]])
			text = text[:at[0]] + text[at[1]:]
		}
		text, _, _ = strings.Cut(text, " in type check.") // a name of this package says nothing
		f.addAt(line, problem.Syntax, errors.New(text))
	}
}
