package dashboard

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const folder = "../../../hubring/files/dashboards"

var update = flag.Bool("update", false, "write the chart's dashboards")

// The chart has what is written here, and nothing else.
func TestTheChartsFilesAreWrittenHere(t *testing.T) {
	if *update {
		require.NoError(t, os.MkdirAll(folder, 0o755))
	}
	for name, d := range All() {
		want, err := d.JSON()
		require.NoError(t, err)
		path := filepath.Join(folder, name)
		if *update {
			require.NoError(t, os.WriteFile(path, want, 0o644))
		}
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(got), "%s: go test ./internal/dashboard -update", path)
	}
	files, err := filepath.Glob(filepath.Join(folder, "*"))
	require.NoError(t, err)
	assert.Len(t, files, len(All()), "%s", files)
}
