package charttest

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the README's table of values instead of comparing it")

// The marks between which the README has the table.
const (
	tableBegins = "<!-- values: go test ./charts/test -run TestReadme -update -->\n"
	tableEnds   = "<!-- values end -->\n"
)

// The README's table is what the schema says of every value, with the default of values.yaml,
// in the order of that file.
func TestReadmeHasTheTableOfValues(t *testing.T) {
	path := filepath.Join(chartDir, "README.md")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	before, rest, begins := strings.Cut(string(text), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	require.True(t, begins && ends, "the README has no marks of its table, %q and %q", tableBegins, tableEnds)
	want := valuesTable(t)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(before+tableBegins+want+tableEnds+after), 0o644))
		return
	}
	assert.Equal(t, want, table, "the README's table is old: go test ./charts/test -run TestReadme -update")
}

// The README speaks of no value that there is not.
func TestReadmeNamesValuesThatAreThere(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(chartDir, "README.md"))
	require.NoError(t, err)
	known := map[string]bool{}
	for _, row := range tableRows(t) {
		for path := row.path; path != ""; path = path[:max(strings.LastIndex(path, "."), 0)] {
			known[path] = true
		}
	}
	named := regexp.MustCompile("`([a-z][A-Za-z]*(?:\\.[a-zA-Z]+)+)(?:: [^`]*)?`").FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, named)
	groups := map[string]bool{}
	for path := range known {
		group, _, _ := strings.Cut(path, ".")
		groups[group] = true
	}
	for _, match := range named {
		if group, _, _ := strings.Cut(match[1], "."); groups[group] {
			assert.True(t, known[match[1]], "the README speaks of %s", match[1])
		}
	}
}

// row is a line of the table.
type row struct{ path, value, description string }

func valuesTable(t *testing.T) string {
	t.Helper()
	var table strings.Builder
	table.WriteString("| value | default | what it is |\n|---|---|---|\n")
	for _, r := range tableRows(t) {
		value := ""
		if r.value != "" {
			value = "`" + r.value + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s |\n", r.path, value, strings.ReplaceAll(r.description, "|", `\|`))
	}
	return table.String()
}

// tableRows returns a row for each value that is no group, in the order of values.yaml.
func tableRows(t *testing.T) []row {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	require.NoError(t, err)
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(text, &document))
	schema := readSchema(t)
	return rowsBelow(t, &schema, schema, document.Content[0], "")
}

func rowsBelow(t *testing.T, schema *node, at node, values *yaml.Node, path string) []row {
	t.Helper()
	var rows []row
	for i := 0; i+1 < len(values.Content); i += 2 {
		key, value := values.Content[i].Value, values.Content[i+1]
		property := schema.resolve(at.Properties[key])
		if len(property.Properties) > 0 && key != "resources" {
			rows = append(rows, rowsBelow(t, schema, property, value, path+key+".")...)
			continue
		}
		rows = append(rows, row{path + key, shown(t, key, value), property.Description})
	}
	return rows
}

// shown returns a default as the table has it: as JSON, and nothing for what is empty. Resources
// are long and have their reasons beside them in values.yaml.
func shown(t *testing.T, key string, value *yaml.Node) string {
	t.Helper()
	var decoded any
	require.NoError(t, value.Decode(&decoded))
	text, err := json.Marshal(decoded)
	require.NoError(t, err)
	if key == "resources" || slices.Contains([]string{`""`, "[]", "{}", "null"}, string(text)) {
		return ""
	}
	return string(text)
}
