// Package grouping reads the labels of a group from the path of a push to a Pushgateway.
package grouping

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hubring/hubring/internal/exposition"
)

// Label is one label of a group.
type Label struct{ Name, Value string }

// Labels are those of a group, sorted by name, each name once.
type Labels []Label

const (
	job           = "job"
	base64Suffix  = "@base64"
	reservedStart = "__"
)

// Parse reads the labels of a group from what stands behind /metrics/ in a path, as it was
// sent: job/JOB/LABEL/VALUE…, with @base64 behind the names of those whose values are encoded so. Values are unescaped
// when the parts are known, so that one may have a slash in it. Of a label that is there
// twice the last one counts, but for the job.
func Parse(raw string) (Labels, error) {
	parts := strings.Split(raw, "/")
	if len(parts)%2 == 1 {
		return nil, fmt.Errorf("the path has a label without a value: %.200q; a slash in a value is written %%2F, or the value by LABEL@base64", raw)
	}
	values := map[string]string{}
	for i := 0; i < len(parts); i += 2 {
		l, err := parseLabel(parts[i], parts[i+1])
		if err != nil {
			return nil, err
		}
		if parts[i+1] == "" && i+2 < len(parts) {
			return nil, fmt.Errorf("the path has nothing between two slashes behind %.60q; a slash in a value is written %%2F, and an empty value %s%s/=", parts[i], l.Name, base64Suffix)
		}
		_, twice := values[l.Name]
		switch {
		case i == 0 && l.Name != job:
			return nil, fmt.Errorf("the path begins with the label %.60q; the first one is job", l.Name)
		case i == 0 && l.Value == "":
			return nil, errors.New("the job is empty")
		case twice && l.Name == job:
			continue
		}
		values[l.Name] = l.Value
	}
	labels := make(Labels, 0, len(values))
	for name, value := range values {
		labels = append(labels, Label{name, value})
	}
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return labels, nil
}

func parseLabel(name, value string) (Label, error) {
	name, err := url.PathUnescape(name)
	if err != nil {
		return Label{}, fmt.Errorf("the path has a label's name that is wrongly escaped: %w", err)
	}
	if value, err = url.PathUnescape(value); err != nil {
		return Label{}, fmt.Errorf("the value of label %.60q is wrongly escaped: %w", name, err)
	}
	name, encoded := strings.CutSuffix(name, base64Suffix)
	if encoded {
		text, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
		if err != nil {
			return Label{}, fmt.Errorf("the value of label %.60q is no base64 of the alphabet for URLs: %w", name, err)
		}
		value = string(text)
	}
	switch {
	case !exposition.ValidLabelName(name) || strings.HasPrefix(name, reservedStart):
		return Label{}, fmt.Errorf("%.60q is no name of a label", name)
	case !utf8.ValidString(value):
		return Label{}, fmt.Errorf("the value of label %q is not UTF-8", name)
	}
	return Label{name, value}, nil
}

// Get is the value of a label, empty where there is none.
func (ls Labels) Get(name string) string {
	i, has := ls.Find(name)
	if !has {
		return ""
	}
	return ls[i].Value
}

// Find is where a label is, or belongs, and whether it is there.
func (ls Labels) Find(name string) (at int, has bool) {
	return slices.BinarySearchFunc(ls, name, func(l Label, name string) int { return strings.Compare(l.Name, name) })
}

// Key tells groups apart. No name or value has the byte 0xff, as they are UTF-8.
func (ls Labels) Key() string {
	var b strings.Builder
	for _, l := range ls {
		b.WriteString(l.Name)
		b.WriteByte(0xff)
		b.WriteString(l.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}

// String writes the labels as they stand behind a metric's name.
func (ls Labels) String() string {
	b := []byte{'{'}
	for i, l := range ls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(b, l.Name...), `="`...)
		b = append(exposition.AppendLabelValue(b, l.Value), '"')
	}
	return string(append(b, '}'))
}
