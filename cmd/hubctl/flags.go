package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kingpin/v2"
	"github.com/prometheus/common/model"

	"github.com/hubring/hubring/exporter/members"
	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// bounded is a flag's whole number. Kingpin's own does not say which flag a
// wrong value was given to.
type bounded struct {
	name       string
	value      int
	least, max int
}

// number adds a flag for a whole number from least to most.
func number(cmd *kingpin.CmdClause, name string, value, least, most int, help string) *int {
	b := &bounded{name: name, least: least, max: most}
	cmd.Flag(name, help).Default(strconv.Itoa(value)).SetValue(b)
	return &b.value
}

func (b *bounded) String() string { return strconv.Itoa(b.value) }

func (b *bounded) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < b.least || n > b.max {
		return fmt.Errorf("--%s is %q, it must be a whole number from %d to %d", b.name, s, b.least, b.max)
	}
	b.value = n
	return nil
}

// span is a flag's duration, written as in Prometheus: 5m, 15d.
type span struct {
	name  string
	value model.Duration
}

func duration(cmd *kingpin.CmdClause, name, value, help string) *span {
	s := &span{name: name}
	cmd.Flag(name, help).Default(value).SetValue(s)
	return s
}

func (s *span) String() string { return s.value.String() }

func (s *span) Set(text string) error {
	d, err := model.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("--%s is %q, it must be a duration such as 5m or 15d", s.name, text)
	}
	s.value = d
	return nil
}

func (s *span) duration() time.Duration { return time.Duration(s.value) }

// hubSet is how a set of hubs is written on the command line: a number, a list
// of names, or @ and a file with a name on each line. A name may have a weight.
type hubSet struct{ flag, text string }

func hubsFlag(cmd *kingpin.CmdClause, name, help string) *hubSet {
	h := &hubSet{flag: name}
	cmd.Flag(name, help+" A number; or names such as a,b=2,c, where b weighs twice as much; or @FILE, which is the exporters' file of hubs if it ends in .yml, .yaml or .json, which says how they are placed, too, and else has a name on each line.").
		Required().PlaceHolder("HUBS").StringVar(&h.text)
	return h
}

// read finds out which hubs there are, and how they are placed if that is said. NameFormat makes names of numbers.
func (h *hubSet) read(nameFormat string) (nodes []hashring.Node, by placed, err error) {
	if path, is := h.list(); is {
		nodes, by, err = hubsOf(members.File{Path: path})
	} else {
		nodes, err = h.nodes(nameFormat)
	}
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return nil, by, fmt.Errorf("read --%s: %w", h.flag, err)
	}
	return nodes, by, h.fault(err)
}

// ring builds the ring of the hubs that were read.
func (h *hubSet) ring(nodes []hashring.Node, by method.Method) (*hashring.Ring, error) {
	ring, err := by.Ring(nodes)
	return ring, h.fault(err)
}

func (h *hubSet) fault(err error) error {
	if err == nil {
		return nil
	}
	return usageError{fmt.Errorf("--%s is %q: %w", h.flag, h.text, err)}
}

// list returns the path if the hubs are in a file of the exporters'.
func (h *hubSet) list() (path string, is bool) {
	path, is = strings.CutPrefix(h.text, "@")
	return path, is && slices.Contains([]string{".yml", ".yaml", ".json"}, filepath.Ext(path))
}

// hubsOf are the hubs of a file of the exporters', by the names that these have for them, and how they are placed.
func hubsOf(file members.File) ([]hashring.Node, placed, error) {
	hubs, err := file.Hubs(context.Background())
	if err == nil {
		hubs, err = members.Check(hubs)
	}
	if err != nil {
		return nil, placed{}, err
	}
	by, err := members.Method(hubs)
	return nodesOf(hubs), placed{by, true}, err
}

func (h *hubSet) nodes(nameFormat string) ([]hashring.Node, error) {
	if n, err := strconv.Atoi(h.text); err == nil {
		if n < 1 || n > hashring.MaxNodes {
			return nil, fmt.Errorf("there can be 1 to %d hubs", hashring.MaxNodes)
		}
		return numbered(nameFormat, 0, n), nil
	}
	entries := strings.Split(h.text, ",")
	if path, ok := strings.CutPrefix(h.text, "@"); ok {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		entries = nil
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				entries = append(entries, line)
			}
		}
	}
	var nodes []hashring.Node
	var errs []error
	for _, entry := range entries {
		name, weight, weighted := strings.Cut(strings.TrimSpace(entry), "=")
		node := hashring.Node{Name: name}
		if weighted {
			w, err := strconv.ParseFloat(weight, 64)
			if err != nil || w == 0 {
				errs = append(errs, fmt.Errorf("hub %q has the weight %q, it must be a number above 0", name, weight))
			}
			node.Weight = w
		}
		nodes = append(nodes, node)
	}
	return nodes, errors.Join(errs...)
}

// numbered returns n hubs, named by their numbers from first on.
func numbered(nameFormat string, first, n int) []hashring.Node {
	nodes := make([]hashring.Node, n)
	for i := range nodes {
		nodes[i].Name = fmt.Sprintf(nameFormat, first+i)
	}
	return nodes
}

// checkNameFormat refuses what would not give each number its own name.
func checkNameFormat(format string) error {
	if a, b := fmt.Sprintf(format, 1), fmt.Sprintf(format, 2); a == b || strings.Contains(a, "%!") {
		return usageError{fmt.Errorf("--name-format is %q, it must have %%d once, where the hub's number goes", format)}
	}
	return nil
}
