package groups

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// Selector selects groups by their labels. The zero value selects each.
type Selector []matcher

// matcher is one condition of a label; one that is missing has the empty value.
type matcher struct {
	name    string
	matches func(value string) bool
}

// Matches says whether all conditions are met.
func (s Selector) Matches(labels Labels) bool {
	for _, m := range s {
		if !m.matches(labels.Get(m.name)) {
			return false
		}
	}
	return true
}

// maxMatchers bounds the conditions of a selector.
const maxMatchers = 64

// ParseSelector reads a selector as PromQL has it, with labels only: {job="x",instance=~"y.*",zone!="z",rack!~"[ab]"}.
// A regular expression matches the whole value. One condition at least must not be met by the empty value, or else
// a slip would select everything.
func ParseSelector(text string) (Selector, error) {
	rest, opened := strings.CutPrefix(strings.TrimSpace(text), "{")
	rest, closed := strings.CutSuffix(rest, "}")
	if !opened || !closed {
		return nil, fmt.Errorf("%.200q is no selector, such as {job=\"x\"}", text)
	}
	var s Selector
	bounded := false
	for rest = strings.TrimSpace(rest); rest != ""; {
		m, behind, err := parseMatcher(rest)
		if err != nil {
			return nil, fmt.Errorf("%.200q: %w", text, err)
		}
		if s = append(s, m); len(s) > maxMatchers {
			return nil, fmt.Errorf("%.200q has more than %d conditions", text, maxMatchers)
		}
		bounded = bounded || !m.matches("")
		behind = strings.TrimSpace(behind)
		if rest = strings.TrimSpace(strings.TrimPrefix(behind, ",")); behind != "" && behind[0] != ',' {
			return nil, fmt.Errorf("%.200q: there is no comma before %.60q", text, behind)
		}
	}
	if !bounded {
		return nil, fmt.Errorf("%.200q has no condition that the empty value does not meet; it would select too much", text)
	}
	return s, nil
}

func parseMatcher(text string) (m matcher, rest string, err error) {
	end := strings.IndexAny(text, "=!")
	if end < 0 {
		return m, "", fmt.Errorf("%.60q is no condition", text)
	}
	m.name = strings.TrimSpace(text[:end])
	if !exposition.ValidLabelName(m.name) {
		return m, "", fmt.Errorf("%.60q is no name of a label", m.name)
	}
	rest = text[end:]
	operator := ""
	for _, o := range []string{"=~", "!~", "!=", "="} {
		if behind, is := strings.CutPrefix(rest, o); is {
			operator, rest = o, strings.TrimSpace(behind)
			break
		}
	}
	value, rest, err := unquote(rest)
	if err != nil || operator == "" {
		return m, "", fmt.Errorf("behind %s there is no =, !=, =~ or !~ with a value in quotes", m.name)
	}
	not := operator[0] == '!'
	if !strings.HasSuffix(operator, "~") {
		m.matches = func(v string) bool { return (v == value) != not }
		return m, rest, nil
	}
	pattern, err := regexp.Compile("^(?s:" + value + ")$")
	if err != nil {
		return m, "", fmt.Errorf("the condition of %s: %w", m.name, err)
	}
	m.matches = func(v string) bool { return pattern.MatchString(v) != not }
	return m, rest, nil
}

// unquote reads a value in double quotes, escaped as in the text format.
func unquote(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", fmt.Errorf("%.60q does not begin with a quote", text)
	}
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return exposition.UnescapeLabelValue(text[1:i]), text[i+1:], nil
		}
	}
	return "", "", fmt.Errorf("%.60q has no end", text)
}
