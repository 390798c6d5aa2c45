package encode

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hubring/hubring/exporter/internal/wire"
	"github.com/hubring/hubring/internal/exposition"
)

// Labels are set on every metric that has none of the name, neither its own nor its
// context's.
type Labels []label

// The bounds of Labels.
const (
	maxLabels     = 32
	maxLabelBytes = 1024 // of a value
)

// NewLabels returns labels by name, or every problem of them.
func NewLabels(values map[string]string) (Labels, error) {
	var errs []error
	problem := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(values) > maxLabels {
		return nil, fmt.Errorf("there are %d, at most %d are supported", len(values), maxLabels)
	}
	var all Labels
	for _, name := range slices.Sorted(maps.Keys(values)) {
		value := values[name]
		switch {
		case !exposition.ValidLabelName(name) || strings.HasPrefix(name, "__"):
			problem("%.100q is no name for a label: use letters, digits and underscores, two of which begin those that Prometheus keeps to itself", name)
		case name == labelGateway:
			problem("%q says whose samples they are: it is the context's", name)
		case name == boundLabel(wire.Histogram) || name == boundLabel(wire.Summary):
			problem("%q is a part of histograms or summaries", name)
		case value == "":
			problem("%q has no value, which would set no label", name)
		case !validText(value):
			problem("the value of %q is not valid UTF-8, or has a NUL byte", name)
		case len(value) > maxLabelBytes:
			problem("the value of %q has %d bytes, at most %d are allowed", name, len(value), maxLabelBytes)
		}
		all = append(all, label{name, value})
	}
	return all, errors.Join(errs...)
}
