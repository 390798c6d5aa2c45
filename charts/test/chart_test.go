package charttest

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"
)

func TestHelmLint(t *testing.T) {
	for _, s := range scenarios(t) {
		t.Run(s.name, func(t *testing.T) {
			var values map[string]any
			require.NoError(t, yaml.Unmarshal([]byte(s.values), &values))
			linter := lint.AllWithKubeVersion(chartDir, values, namespace, nil)
			for _, message := range linter.Messages {
				assert.LessOrEqual(t, message.Severity, support.InfoSev, "%s: %v", message.Path, message.Err)
			}
		})
	}
}

// node is a JSON schema, as far as the tests read it.
type node struct {
	Description          string          `json:"description"`
	Properties           map[string]node `json:"properties"`
	AdditionalProperties any             `json:"additionalProperties"`
	Ref                  string          `json:"$ref"`
	Definitions          map[string]node `json:"definitions"`
	Defs                 map[string]node `json:"$defs"`
}

// Every value has its place in the schema and says there what it is, and the schema has no other ones.
func TestSchemaHasEveryValue(t *testing.T) {
	root := readSchema(t)
	assert.Empty(t, undescribed(t, &root, root, defaults(t), ""), "values that the schema does not describe")
}

func readSchema(t *testing.T) node {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	require.NoError(t, err)
	var root node
	require.NoError(t, json.Unmarshal(text, &root))
	return root
}

// defaults returns what is in values.yaml.
func defaults(t *testing.T) map[string]any {
	t.Helper()
	loaded, err := loadChart()
	require.NoError(t, err)
	return loaded.Values
}

// withoutDefault are keys that values.yaml does not need: Helm's own.
var withoutDefault = []string{"global"}

// undescribed compares a part of the schema with the values that it is for, and returns the
// paths of those that have no description.
func undescribed(t *testing.T, root *node, at node, values map[string]any, path string) []string {
	t.Helper()
	at = root.resolve(at)
	if strings.HasSuffix(path, "resources.") {
		return nil // Kubernetes' words, checked when they are rendered
	}
	if len(at.Properties) == 0 { // labels and the like are the user's own
		assert.NotEqual(t, false, at.AdditionalProperties, "%s may have no keys at all", path)
		return nil
	}
	assert.Equal(t, false, at.AdditionalProperties, "%q takes keys that nothing reads", path)
	for key := range values {
		assert.Contains(t, at.Properties, key, "schema, below %q", path)
	}
	var missing []string
	for _, key := range slices.Sorted(maps.Keys(at.Properties)) {
		property := at.Properties[key]
		value, valued := values[key]
		assert.True(t, valued || slices.Contains(withoutDefault, path+key), "%s%s is in the schema and not in values.yaml", path, key)
		if property.Description == "" && root.resolve(property).Description == "" {
			missing = append(missing, path+key)
		}
		if below, ok := value.(map[string]any); ok {
			missing = append(missing, undescribed(t, root, property, below, path+key+".")...)
		}
	}
	return missing
}

// resolve follows a reference within the schema.
func (n *node) resolve(at node) node {
	name := at.Ref[strings.LastIndex(at.Ref, "/")+1:]
	switch {
	case at.Ref == "":
		return at
	case strings.HasPrefix(at.Ref, "#/$defs/"):
		return n.Defs[name]
	default:
		return n.Definitions[name]
	}
}
