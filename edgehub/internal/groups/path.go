package groups

import "github.com/hubring/hubring/internal/grouping"

type (
	// Label is one label of a group.
	Label = grouping.Label
	// Labels say which group it is.
	Labels = grouping.Labels
)

// instance is the label that a group has to a scraper, if only an empty one.
const instance = "instance"

// ParsePath reads the labels of a group, see grouping.Parse. Its errors are of the kind Bad.
func ParsePath(raw string) (Labels, *RefusedError) {
	labels, err := grouping.Parse(raw)
	if err != nil {
		return nil, bad(BadLabels, "%v", err)
	}
	return labels, nil
}
