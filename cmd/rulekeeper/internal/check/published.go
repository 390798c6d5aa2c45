package check

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/rulefmt"
	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// publish writes the copy for the ruler. Prometheus reads YAML 1.2 and Thanos,
// before it, YAML 1.1, where a plain yes is true and 010 is 8; in the copy such a
// text is in quotes, so that both read the same.
func (c *Checker) publish(rules *ruleFile) ([]byte, error) {
	published, err := yaml.Marshal(rules)
	if err != nil {
		return nil, fmt.Errorf("write the copy for the ruler: %w", err)
	}
	loaded, err := c.asThanos(published)
	if err != nil {
		return nil, fmt.Errorf("load the copy as the ruler does: %w", err)
	}
	for _, strategy := range []string{"", string(Warn), string(Abort)} {
		want, err := yaml.Marshal(rules.of(strategy))
		if err != nil {
			return nil, fmt.Errorf("write the rules: %w", err)
		}
		got, err := yaml.Marshal(loaded[strategy])
		if err != nil {
			return nil, fmt.Errorf("write the rules that the ruler would load: %w", err)
		}
		if !bytes.Equal(want, got) {
			return nil, errors.New("the ruler would load other rules than Prometheus, since it reads the text as YAML 1.1")
		}
	}
	return published, nil
}

// of returns the groups of a strategy, without what Prometheus does not know.
func (f *ruleFile) of(strategy string) rulefmt.RuleGroups {
	var of rulefmt.RuleGroups
	for _, g := range f.Groups {
		if g.Strategy == strategy {
			of.Groups = append(of.Groups, g.RuleGroup)
		}
	}
	return of
}

// thanosGroup is a group as Thanos decodes it: without types, for Prometheus, and
// with them, for its strategy.
type thanosGroup struct {
	native   map[string]any
	strategy string
}

func (g *thanosGroup) UnmarshalYAML(unmarshal func(any) error) error {
	var typed struct {
		rulefmt.RuleGroup `yaml:",inline"`
		Strategy          string `yaml:"partial_response_strategy"`
	}
	if err := unmarshal(&typed); err != nil {
		return err
	}
	g.strategy = typed.Strategy
	if err := unmarshal(&g.native); err != nil {
		return err
	}
	delete(g.native, "partial_response_strategy")
	return nil
}

// asThanos loads a file as the ruler does: through YAML 1.1 into one file a
// strategy, which Prometheus' code then reads strictly.
func (c *Checker) asThanos(content []byte) (map[string]rulefmt.RuleGroups, error) {
	var file struct {
		Groups []thanosGroup `yaml:"groups"`
	}
	if err := yamlv2.UnmarshalStrict(content, &file); err != nil {
		return nil, err
	}
	natives := map[string][]map[string]any{}
	for _, g := range file.Groups {
		natives[g.strategy] = append(natives[g.strategy], g.native)
	}
	loaded := map[string]rulefmt.RuleGroups{}
	for strategy, groups := range natives {
		text, err := yamlv2.Marshal(map[string]any{"groups": groups})
		if err != nil {
			return nil, err
		}
		rules, errs := rulefmt.Parse(text, false, model.UTF8Validation, c.parser, promslog.NewNopLogger())
		if len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		loaded[strategy] = *rules
	}
	return loaded, nil
}
