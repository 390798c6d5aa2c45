package check

import "go.yaml.in/yaml/v3"

// lines tells where in a file the groups and rules are. Its zero value knows none.
type lines []placed

// placed is where a group and its rules begin.
type placed struct {
	name  string
	line  int
	rules []yaml.Node
}

// findLines reads places from a file that was decoded before.
func findLines(content []byte) (found lines) {
	var file struct {
		Groups []yaml.Node `yaml:"groups"`
	}
	if yaml.Unmarshal(content, &file) != nil {
		return found
	}
	for _, node := range file.Groups {
		var g struct {
			Name  string      `yaml:"name"`
			Rules []yaml.Node `yaml:"rules"`
		}
		if node.Decode(&g) != nil {
			continue
		}
		found = append(found, placed{g.Name, node.Line, g.Rules})
	}
	return found
}

// number returns the line of a group, counted from 0, or 0.
func (l lines) number(i int) int {
	if i < len(l) {
		return l[i].line
	}
	return 0
}

// group returns the line of a group, or 0.
func (l lines) group(name string) int {
	for _, g := range l {
		if g.name == name {
			return g.line
		}
	}
	return 0
}

// rule returns the line of a group's rule, counted from 1, or 0.
func (l lines) rule(name string, number int) int {
	for _, g := range l {
		if g.name == name && number >= 1 && number <= len(g.rules) {
			return g.rules[number-1].Line
		}
	}
	return 0
}
