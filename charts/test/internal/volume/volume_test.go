package volume

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// visible returns the files that a container sees.
func visible(t *testing.T, volume string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(volume)
	require.NoError(t, err)
	found := map[string]string{}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		content, err := os.ReadFile(filepath.Join(volume, entry.Name()))
		require.NoError(t, err)
		found[entry.Name()] = string(content)
	}
	return found
}

func TestPublishReplacesAllFilesAtOnce(t *testing.T) {
	volume := t.TempDir()
	require.NoError(t, Publish(volume, map[string][]byte{"a": []byte("1"), "b": []byte("1"), "sub/c": []byte("1")}))
	content, err := os.ReadFile(filepath.Join(volume, "sub", "c"))
	require.NoError(t, err)
	assert.Equal(t, "1", string(content))
	first, err := os.Readlink(filepath.Join(volume, "..data"))
	require.NoError(t, err)

	require.NoError(t, Publish(volume, map[string][]byte{"b": []byte("2"), "d": []byte("2")}))
	assert.Equal(t, map[string]string{"b": "2", "d": "2"}, visible(t, volume))
	second, err := os.Readlink(filepath.Join(volume, "..data"))
	require.NoError(t, err)
	assert.NotEqual(t, first, second, "a container could see some files of each")
	assert.NoDirExists(t, filepath.Join(volume, first))
}

func TestPublishLeavesEqualFilesAlone(t *testing.T) {
	volume := t.TempDir()
	files := map[string][]byte{"a": []byte("1")}
	require.NoError(t, Publish(volume, files))
	first, err := os.Readlink(filepath.Join(volume, "..data"))
	require.NoError(t, err)
	require.NoError(t, Publish(volume, files))
	second, err := os.Readlink(filepath.Join(volume, "..data"))
	require.NoError(t, err)
	assert.Equal(t, first, second)
}
