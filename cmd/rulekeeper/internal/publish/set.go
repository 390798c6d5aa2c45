package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Set is the published files by name.
type Set map[string][]byte

// Key tells sets apart: the same files have the same key.
func (s Set) Key() string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(s)) {
		fmt.Fprintf(h, "%q %d\n%s", name, len(s[name]), s[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Name is what a source file is called where it is published: its folder, a hash of
// its whole path, since two ConfigMaps may each have a rules.yaml, and its name. It
// ends in .yaml. A ruler keeps an alert's state by the name of its file, so it
// depends on nothing else.
func Name(path string) string {
	hash := sha256.Sum256([]byte(path))
	base := strings.TrimSuffix(filepath.Base(path), ".yaml")
	return fmt.Sprintf("%.60s-%s-%.120s.yaml", plain(filepath.Base(filepath.Dir(path))), hex.EncodeToString(hash[:4]), plain(base))
}

// plain keeps what is safe in names: a ruler puts them into labels, which must be
// UTF-8, and looks for them with a pattern.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, name)
}
