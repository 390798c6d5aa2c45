package check

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/cmd/rulekeeper/internal/problem"
)

func checker(partial PartialResponse) *Checker {
	return New(Config{Partial: partial, ExpressionBytes: 32 << 10})
}

// ofOne is a file of one group with what stands in for its rules.
func ofOne(rules string) string {
	return "groups:\n- name: g\n  rules:\n" + rules
}

func TestBadFilesAreRefusedWithTheirLine(t *testing.T) {
	f := func(content string, line int, reason problem.Reason, text string) {
		t.Helper()
		_, problems := checker(Warn).File("a.yaml", []byte(content))
		if assert.NotEmpty(t, problems, content) {
			p := problems[0]
			assert.Equal(t, "a.yaml", p.File)
			assert.Equal(t, line, p.Line, "%s\n%s", p, content)
			assert.Equal(t, reason, p.Reason, "%s\n%s", p, content)
			assert.Contains(t, p.Text, text)
		}
	}
	// What Prometheus' rulefmt refuses.
	f("groups:\n- name: [", 2, problem.Syntax, "did not find expected node content")
	f("groups: {}", 1, problem.Syntax, "cannot unmarshal")
	f("groups: []\nbogus: 1\n", 2, problem.Syntax, "field bogus not found")
	f("groups:\n- name: g\n  rule: []\n", 3, problem.Syntax, "field rule not found")
	f(ofOne("  - record: a\n    expr: b\n    exp: c\n"), 6, problem.Syntax, "field exp not found")
	f(ofOne("  - record: a\n    expr: sum(\n"), 5, problem.Rule, "unclosed left parenthesis")
	f(ofOne("  - record: a\n"), 4, problem.Rule, "'expr' must be set")
	f(ofOne("  - expr: a\n"), 4, problem.Rule, "one of 'record' or 'alert' must be set")
	f(ofOne("  - {record: a, expr: b, for: 1m}\n"), 4, problem.Rule, "invalid field 'for'")
	f(ofOne("  - {record: a, expr: b}\n  - {alert: a, expr: b, annotations: {x: '{{ $nope }}'}}\n"), 5, problem.Rule, "undefined variable")
	f(ofOne("  - {alert: a, expr: b, for: soon}\n"), 0, problem.Syntax, "not a valid duration")
	f("groups:\n- name: g\n  rules: []\n- name: g\n  rules: []\n", 4, problem.Rule, `another group "g"`)
	f("groups:\n- rules: []\n", 2, problem.Rule, "no name")
	f("groups:\n- name: g\n  labels: {__name__: x}\n  rules: []\n", 0, problem.Rule, "invalid label name")
	// What Thanos refuses besides.
	f("groups:\n- name: g\n  partial_response_strategy: none\n", 2, problem.Rule, "it must be warn or abort")
	f("groups:\n- name: g\n  partial_response_strategy: 'w\"arn'\n", 2, problem.Rule, "invalid syntax")
	// What would take too long to parse.
	f(ofOne("  - record: a\n    expr: "+strings.Repeat("x", 33<<10)), 4, problem.Limit, "more than the limit of 32768")
	f(ofOne("  - record: a\n    expr: "+strings.Repeat("abs(", 501)+"x"+strings.Repeat(")", 501)), 4, problem.Limit, "more than 500 parentheses")
}

func TestEveryProblemOfAFileIsTold(t *testing.T) {
	_, problems := checker(Warn).File("a.yaml", []byte(ofOne("  - {record: a, expr: '('}\n  - {record: b}\n")+"- name: g\n"))
	assert.Len(t, problems, 3, "%v", problems)
}

// plainly reads a copy without what Prometheus does not know.
func plainly(t *testing.T, content []byte) (rulefmt.RuleGroups, []string) {
	t.Helper()
	var file ruleFile
	require.NoError(t, yaml.Unmarshal(content, &file))
	var groups rulefmt.RuleGroups
	var strategies []string
	for _, g := range file.Groups {
		groups.Groups = append(groups.Groups, g.RuleGroup)
		strategies = append(strategies, g.Strategy)
	}
	return groups, strategies
}

const everything = `# A comment, and an anchor for what is the same.
groups:
- name: one
  interval: 1m
  query_offset: 0s
  limit: 3
  labels: &all {team: edge}
  rules:
  - alert: Down
    expr: |
      up == 0
        and on() vector(1)
    for: 1h30m
    keep_firing_for: 5m
    labels: {severity: yes, code: 010, at: 12:30:45, day: 2026-01-01, none: null, <<: *all}
    annotations: {summary: "{{ $labels.x }} \u2028 is {{ $value }}\n"}
- name: two
  partial_response_strategy: Abort
  rules:
  - {record: a:b, expr: 'sum({"a name", b="é\u0085"})'}
- {name: three, partial_response_strategy: "", rules: [{record: c, expr: d}]}
- {name: four}
`

func TestTheCopyHasTheSameRules(t *testing.T) {
	want, errs := rulefmt.Parse([]byte(everything), true, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	require.Empty(t, errs)
	f := func(partial PartialResponse, strategies ...string) {
		t.Helper()
		result, problems := checker(partial).File("a.yaml", []byte(everything))
		require.Empty(t, problems)
		assert.Equal(t, 4, result.Groups)
		got, said := plainly(t, result.Published)
		assert.Equal(t, strategies, said)
		assert.Equal(t, marshalled(t, *want), marshalled(t, got))
		if partial == Keep {
			again, problems := checker(Keep).File("a.yaml", result.Published)
			require.Empty(t, problems)
			assert.Equal(t, string(result.Published), string(again.Published), "a copy's copy")
		}
	}
	f(Warn, "warn", "abort", "warn", "warn")
	f(Abort, "", "abort", "", "")
	f(Keep, "", "abort", "", "")
}

func marshalled(t *testing.T, groups rulefmt.RuleGroups) string {
	t.Helper()
	text, err := yaml.Marshal(groups)
	require.NoError(t, err)
	return string(text)
}

func TestWhatIsOddIsTold(t *testing.T) {
	f := func(content string, line int, text string) {
		t.Helper()
		result, problems := checker(Warn).File("a.yaml", []byte(content))
		require.Empty(t, problems)
		require.Len(t, result.Warnings, 1)
		assert.Equal(t, line, result.Warnings[0].Line)
		assert.Contains(t, result.Warnings[0].Text, text)
	}
	f("groups: []\n---\ngroups: []\n", 0, "second YAML document")
	f("groups:\n- name: g\n  labels: {a: b}\n  rules:\n  - {record: r, expr: x}\n- name: h\n  rules:\n  - {record: r, expr: y, labels: {a: b}}\n  - {record: r, expr: z, labels: {a: b}}\n", 8, "another rule r with the same labels")

	result, _ := checker(Warn).File("a.yaml", []byte(ofOne("  - {record: r, expr: x}\n  - {record: r, expr: x, labels: {a: b}}\n")))
	assert.Empty(t, result.Warnings)
}

func TestExperimentalFunctionsAreForRulersThatHaveThem(t *testing.T) {
	content := []byte(ofOne("  - {record: r, expr: 'sort_by_label(x, \"a\")'}\n"))
	_, problems := checker(Warn).File("a.yaml", content)
	assert.NotEmpty(t, problems)
	_, problems = New(Config{Partial: Warn, ExpressionBytes: 100, Experimental: true}).File("a.yaml", content)
	assert.Empty(t, problems)
}

// An empty file is a set without rules, as it is to Prometheus; the chart's own rules are good.
func TestGoodFiles(t *testing.T) {
	own, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "charts", "hubring", "files", "alerts.yaml"))
	require.NoError(t, err)
	for _, content := range []string{"", "---\n", "groups:\n", "groups: [null]", ofOne("  - null\n"), ofOne("  - {record: a, expr: " + strings.Repeat("abs(x) + abs(", 500) + "x" + strings.Repeat(")", 500) + "}\n"), string(own)} {
		_, problems := checker(Warn).File("a.yaml", []byte(content))
		assert.Empty(t, problems, content)
	}
}

// FuzzCheck: what is accepted, rulefmt accepts after publishing, and the rules are the same.
func FuzzCheck(f *testing.F) {
	f.Add([]byte(everything))
	f.Add([]byte(ofOne("  - {alert: a, expr: b, labels: {x: on, y: 0x1F, z: 1_000, w: ~}, annotations: {v: !!binary aGk=}}\n")))
	f.Add([]byte("groups:\n- &a {name: a, partial_response_strategy: warn, rules: [{record: r, expr: \"x\"}]}\n- {<<: *a, name: b}\n"))
	f.Add([]byte("groups: [null, {name: é, rules: [null]}]\n---\nx"))
	p := parser.NewParser(parser.Options{})
	c := New(Config{Partial: Warn, ExpressionBytes: 1 << 10})
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > 4<<10 {
			return
		}
		result, problems := c.File("a.yaml", content)
		want, errs := rulefmt.Parse(content, true, model.UTF8Validation, p, promslog.NewNopLogger())
		if len(problems) > 0 {
			return
		}
		require.Empty(t, errs, "accepted what rulefmt refuses")
		got, strategies := plainly(t, result.Published)
		for _, s := range strategies {
			require.Contains(t, []string{"warn", "abort"}, s)
		}
		text := marshalled(t, got)
		_, errs = rulefmt.Parse([]byte(text), false, model.UTF8Validation, p, promslog.NewNopLogger())
		require.Empty(t, errs, "published what rulefmt refuses")
		require.Equal(t, marshalled(t, *want), text)
	})
}
