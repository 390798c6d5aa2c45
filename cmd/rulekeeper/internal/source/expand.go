package source

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func valid(pattern string) error {
	if _, err := filepath.Match(pattern, ""); err != nil {
		return fmt.Errorf("read the pattern %q: %w", pattern, err)
	}
	return nil
}

func hasMeta(path string) bool { return strings.ContainsAny(path, `*?[\`) }

// expand returns the files that a pattern names. Unlike filepath.Glob it fails if
// their directory cannot be read: an unmounted volume is not an empty one. A name
// without wildcards is returned whether there is such a file or not.
func expand(pattern string) ([]string, error) {
	pattern = filepath.Clean(pattern)
	if !hasMeta(pattern) {
		return []string{pattern}, nil
	}
	dirs := []string{filepath.Dir(pattern)}
	if hasMeta(dirs[0]) {
		dirs, _ = filepath.Glob(dirs[0]) // its only error is a malformed pattern
		dirs = slices.DeleteFunc(dirs, func(dir string) bool {
			info, err := os.Stat(dir)
			return err == nil && !info.IsDir()
		})
	}
	var paths []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return paths, fmt.Errorf("list %s: %w", dir, cause(err))
		}
		for _, entry := range entries {
			if ok, _ := filepath.Match(filepath.Base(pattern), entry.Name()); ok {
				paths = append(paths, filepath.Join(dir, entry.Name()))
			}
		}
	}
	return paths, nil
}
