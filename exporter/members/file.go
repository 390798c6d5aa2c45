package members

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hubring/hubring/hashring"
	"github.com/hubring/hubring/hashring/method"
)

// maxHubFileBytes bounds a File: ten times what 4,096 hubs with long names need.
const maxHubFileBytes = 1 << 20

// The labels that a group of a File may have. Prometheus takes those with
// underscores off before it stores anything.
const (
	schemeLabel = "__scheme__"
	weightLabel = "__weight__"
	placeLabel  = "__placement__"
	nameLabel   = "name"
)

// File takes the hubs from a file in the format of Prometheus' file_sd_configs:
// a list of groups of targets that share labels. One whose name ends in .json is JSON,
// in which each target and value of a label is a string; any other one is YAML.
//
//   - targets: ["edgehub-0.edgehub:9091", "edgehub-1.edgehub:9091"]
//   - targets: ["https://edgehub-2.example.com/hub"]
//     labels: {name: "edgehub-2", __weight__: "2"}
//
// A target is host:port or a hub's URL. Four labels are understood. __scheme__,
// http or https, is that of the group's targets that are no URLs; the default is
// http. __weight__ is the weight of each hub of the group. __placement__ is how all
// the hubs become a ring, as in Hub.Placement; each group needs the same, and the default
// is rendezvous. name is the name of the hub, in a group of one; the default is the host and port of the target. A
// label with an empty value is as good as none. Any other label or field is an
// error, since it would be a typing error or a setting without effect.
//
// The file is read anew at each lookup, so it may be replaced in any way: written
// anew, renamed over, or swapped with its directory, as Kubernetes does with the
// files of a ConfigMap. One that cannot be read or is half written is an error,
// and the hubs stay as they are. A file that is written in place may be
// read when it ends after a line that is whole; what is missing then is not taken
// off at once, but prefer to rename.
type File struct {
	// Path is the file's, at most 1 MiB large.
	Path string
}

// Describe names the source for the exporter's status page.
func (f File) Describe() (source, detail string) { return "file", f.Path }

// Validate returns an error if there is no Path. The file need not be there yet.
func (f File) Validate() error {
	if f.Path == "" {
		return errors.New("File.Path is empty: say which file names the hubs")
	}
	return nil
}

// Hubs implements exporter.Membership. The error wraps that of the file system, or says
// what is wrong with the file, all of it at once; its text has the path.
func (f File) Hubs(ctx context.Context) ([]Hub, error) {
	if err := f.Validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("read the hubs of %q: %w", f.Path, err)
	}
	text, err := readHubFile(f.Path)
	if err != nil {
		return nil, fmt.Errorf("read the hubs of %q: %w", f.Path, err)
	}
	parse := parseYAML
	if strings.EqualFold(filepath.Ext(f.Path), ".json") {
		parse = parseJSON
	}
	hubs, err := parseHubFile(text, parse)
	if err != nil {
		return nil, fmt.Errorf("read the hubs of %q: %w", f.Path, err)
	}
	for i, h := range hubs {
		hubs[i] = h.WithDefaults()
	}
	return hubs, nil
}

// readHubFile reads a regular file.
func readHubFile(path string) ([]byte, error) {
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() { // opening a pipe would wait
		return nil, errors.New("it is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // nothing was written
	return readStill(file)
}

// readStill reads a file that nobody writes to meanwhile. YAML that is cut off is
// YAML as a rule, so parsing does not find that out.
func readStill(file interface {
	io.Reader
	Stat() (fs.FileInfo, error)
},
) ([]byte, error) {
	before, err := file.Stat()
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxHubFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxHubFileBytes {
		return nil, fmt.Errorf("it has more than %d bytes", maxHubFileBytes)
	}
	after, err := file.Stat()
	if err != nil {
		return nil, err
	}
	size := int64(len(text))
	if before.Size() != size || after.Size() != size || !after.ModTime().Equal(before.ModTime()) {
		return nil, errors.New("it is being written")
	}
	return text, nil
}

var errEmpty = errors.New("it is empty")

// parseYAML returns the nodes of a text of one document.
func parseYAML(text []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	document := new(yaml.Node)
	if err := decoder.Decode(document); errors.Is(err, io.EOF) {
		return nil, errEmpty
	} else if err != nil {
		return nil, err
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is something behind the list of groups")
	}
	return document, nil
}

// parseHubFile returns the hubs of all groups, in the order of the text. What is
// wrong with a hub by itself is left to Check.
//
// It reads the nodes of the text rather than have them decoded into structs: that
// compares each key of a mapping with each other one, which takes minutes for a
// file of nothing but keys.
func parseHubFile(text []byte, parse func(text []byte) (*yaml.Node, error)) ([]Hub, error) {
	document, err := parse(text)
	if err != nil {
		return nil, err
	}
	var p hubFileParser
	for _, group := range p.items(document, "groups") {
		p.group(group)
		if p.found.more > 0 || len(p.hubs) > hashring.MaxNodes { // a few aliases can stand for millions
			break
		}
	}
	return p.hubs, p.found.join()
}

// hubFileParser collects what is in a file and what is wrong with it.
type hubFileParser struct {
	hubs  []Hub
	found problems
	first int           // line of the first group whose placement is understood, or 0
	by    method.Method // what it says
}

// items returns those of a list, which may be missing.
func (p *hubFileParser) items(node *yaml.Node, what string) []*yaml.Node {
	if node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	list := resolved(node)
	if list.Kind != yaml.SequenceNode && list.Tag != "!!null" {
		p.found.add("line %d: a list of %s is needed", node.Line, what)
		return nil
	}
	return list.Content
}

// fields calls each for every field of a mapping, which may be missing. No field
// may be there twice.
func (p *hubFileParser) fields(node *yaml.Node, what string, each func(key string, value *yaml.Node)) {
	mapping := resolved(node)
	if mapping.Kind != yaml.MappingNode && mapping.Tag != "!!null" {
		p.found.add("line %d: a mapping of %s is needed", node.Line, what)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		key, value := mapping.Content[i], mapping.Content[i+1]
		if seen[key.Value] {
			p.found.add("line %d: %.100q is there twice", key.Line, key.Value)
			continue
		}
		seen[key.Value] = true
		each(key.Value, value)
	}
}

// text returns the value of a scalar.
func (p *hubFileParser) text(node *yaml.Node, what string) string {
	switch scalar := resolved(node); {
	case scalar.Kind != yaml.ScalarNode:
		p.found.add("line %d: a %s is needed", node.Line, what)
		return ""
	case scalar.Tag == "!!null":
		return ""
	default:
		return scalar.Value
	}
}

// resolved returns what an alias stands for.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}

// group adds the hubs of a group.
func (p *hubFileParser) group(node *yaml.Node) {
	var targets []*yaml.Node
	labels := map[string]string{}
	p.fields(node, "targets and labels", func(key string, value *yaml.Node) {
		switch key {
		case "targets":
			targets = p.items(value, "targets")
		case "labels":
			p.fields(value, "labels", func(label string, value *yaml.Node) {
				labels[label] = p.text(value, "value of the label")
			})
		default:
			p.found.add("line %d: field %.100q is unknown: targets and labels are understood", value.Line, key)
		}
	})
	if len(targets) == 0 {
		p.found.add("line %d: the group has no targets", node.Line)
		return
	}
	common := p.labels(node.Line, labels, len(targets))
	for _, target := range targets {
		hub, err := common.hub(p.text(target, "target"))
		if err != nil {
			p.found.add("line %d: %w", target.Line, err)
		}
		p.hubs = append(p.hubs, hub)
	}
}

// groupLabels are the labels of a group.
type groupLabels struct {
	scheme, name string
	weight       float64
	by           method.Method
}

// labels reads those of the group in that line.
func (p *hubFileParser) labels(line int, labels map[string]string, targets int) groupLabels {
	common := groupLabels{scheme: "http"}
	understood := true
	for _, label := range slices.Sorted(maps.Keys(labels)) {
		value := labels[label]
		if value == "" {
			continue
		}
		switch label {
		case schemeLabel:
			common.scheme = value
			if value != "http" && value != "https" {
				p.found.add("line %d: %s is %.100q: it must be http or https", line, label, value)
			}
		case weightLabel:
			weight, err := strconv.ParseFloat(value, 64)
			if err != nil || weight == 0 {
				p.found.add("line %d: %s is %.100q: it must be a number above 0", line, label, value)
			}
			common.weight = weight
		case nameLabel:
			common.name = value
			if targets > 1 {
				p.found.add("line %d: %d targets cannot have the one name %.100q: put each into a group of its own", line, targets, value)
			}
		case placeLabel:
			by, err := method.Parse(value)
			if err != nil {
				p.found.add("line %d: %s: %w", line, label, err)
			}
			common.by, understood = by, err == nil
		default:
			p.found.add("line %d: label %.100q is unknown: %s, %s, %s and %s are understood", line, label, schemeLabel, weightLabel, placeLabel, nameLabel)
		}
	}
	switch {
	case !understood:
	case p.first == 0:
		p.first, p.by = line, common.by
	case !common.by.Same(p.by):
		p.found.add("line %d: the group is to be placed by %s and that of line %d by %s: all need the same %s", line, common.by, p.first, p.by, placeLabel)
	}
	return common
}

// hub returns the hub of one target.
func (l groupLabels) hub(target string) (Hub, error) {
	if strings.Contains(target, "://") {
		return Hub{Name: l.name, URL: target, Weight: l.weight, Placement: spelled(l.by)}, nil
	}
	base := l.scheme + "://" + target
	host, port, err := net.SplitHostPort(target)
	if u, urlErr := url.Parse(base); err != nil || urlErr != nil || u.Host != target {
		return Hub{}, fmt.Errorf("target %.100q is neither host:port nor a URL", target)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || host == "" {
		return Hub{}, fmt.Errorf("target %.100q needs a host, and a port between 1 and 65535", target)
	}
	return Hub{Name: l.name, URL: base, Weight: l.weight, Placement: spelled(l.by)}, nil
}
