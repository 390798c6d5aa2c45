// Package docs has pages for readers, and tests that hold them to the code.
package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A test that faults.md names is in the folder that it says, and each row says what is tested or nothing.
func TestFaultsNamesTestsThatExist(t *testing.T) {
	page, err := os.ReadFile("faults.md")
	require.NoError(t, err)
	named := regexp.MustCompile("`([a-z/]+) (Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(named), 30)
	for _, n := range named {
		assert.Contains(t, testsIn(t, filepath.Join("..", n[1])), "func "+n[2]+"(", "in the folder %s", n[1])
	}
	for line := range strings.Lines(string(page)) {
		if strings.HasPrefix(line, "|") {
			assert.Equal(t, 5, strings.Count(line, "|"), "cells of %s", line)
		}
	}
}

func testsIn(t *testing.T, folder string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	require.NoError(t, err)
	var all strings.Builder
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		all.Write(text)
	}
	return all.String()
}
