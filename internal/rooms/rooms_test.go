// Package rooms holds the code to the table of DESIGN.md that says who may
// import whom. It has nothing but this test.
package rooms

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	design  = "DESIGN.md"
	heading = "## Who may import whom\n"
	module  = "github.com/hubring/hubring/"
)

// houses are the folders whose packages need a line in the table.
var houses = []string{"edgehub", "exporter", "hashring", "internal"}

func TestImports(t *testing.T) {
	for _, b := range breaches(t, os.DirFS("../..")) {
		t.Error(b)
	}
}

// room is a line of the table: what a package may import beside the standard
// library.
type room struct {
	ours   []string // packages; a * stands for a part of the path
	others []string // modules, with all their packages
}

// table reads DESIGN.md: a line has the package, what it holds, and what it may import
// of ours and of others.
func table(t *testing.T, repository fs.FS) map[string]room {
	t.Helper()
	text, err := fs.ReadFile(repository, design)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), heading)
	require.True(t, found, "%s has no %q", design, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	rooms := map[string]room{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") {
			require.Len(t, cells, 6, line)
			rooms[quoted(cells[1])[0]] = room{quoted(cells[3]), quoted(cells[4])}
		}
	}
	return rooms
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

func quoted(cell string) (words []string) {
	for _, match := range inBackticks.FindAllStringSubmatch(cell, -1) {
		words = append(words, match[1])
	}
	return words
}

// breaches are the imports that the table does not allow, and the packages that
// it does not name. Files of every system count, tests do not, nor modules of their own.
func breaches(t *testing.T, repository fs.FS) (all []string) {
	rooms := table(t, repository)
	for _, house := range houses {
		err := fs.WalkDir(repository, house, func(file string, entry fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if entry.IsDir() {
				if _, err := fs.Stat(repository, path.Join(file, "go.mod")); err == nil || entry.Name() == "testdata" {
					return fs.SkipDir
				}
				return nil
			}
			if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return nil
			}
			room, named := rooms[path.Dir(file)]
			if !named {
				all = append(all, fmt.Sprintf("%s: the table of %s has no line for %s", file, design, path.Dir(file)))
				return nil
			}
			for _, imported := range imports(t, repository, file) {
				if allowed, of := room.allows(imported); !allowed {
					all = append(all, fmt.Sprintf("%s imports %s; the table of %s allows %q", file, imported, design, of))
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	return all
}

func imports(t *testing.T, repository fs.FS, file string) (paths []string) {
	t.Helper()
	text, err := fs.ReadFile(repository, file)
	require.NoError(t, err)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range parsed.Imports {
		paths = append(paths, strings.TrimPrefix(strings.Trim(spec.Path.Value, "`\""), module))
	}
	return paths
}

// allows says whether a package may be imported, and what of its kind may be. Ours
// come without the module's path; only others have a name with a dot for a host.
func (r room) allows(imported string) (allowed bool, of []string) {
	first, _, _ := strings.Cut(imported, "/")
	switch {
	case first == "cmd" || first == "e2e" || slices.Contains(houses, first):
		return slices.ContainsFunc(r.ours, func(pattern string) bool {
			matches, _ := path.Match(pattern, imported) // a wrong pattern matches nothing
			return matches
		}), r.ours
	case strings.Contains(first, "."):
		return slices.ContainsFunc(r.others, func(module string) bool {
			return imported == module || strings.HasPrefix(imported, module+"/")
		}), r.others
	default:
		return true, nil
	}
}

func TestBreachesAreNamed(t *testing.T) {
	f := func(file, text string, want ...string) {
		t.Helper()
		repository := fstest.MapFS{
			"exporter/a.go": {Data: []byte("package exporter")}, "hashring/a.go": {Data: []byte("package hashring")},
			"internal/a/a.go": {Data: []byte("package a")},
			design: {Data: []byte("# D\n\n" + heading + "\n| package | holds | ours | others |\n|---|---|---|---|\n" +
				"| `edgehub` | `x` | `edgehub/internal/*`, `internal/a` | `example.org/m` |\n" +
				"| `edgehub/internal/low` | | | |\n| `exporter` | | | |\n| `hashring` | | | |\n| `internal/a` | | | |\n" +
				"\n## Next\n\n| `edgehub/other` | | | |\n")},
		}
		repository["edgehub/internal/low/a.go"] = &fstest.MapFile{Data: []byte("package low")}
		repository[file] = &fstest.MapFile{Data: []byte("package p\n" + text)}
		assert.Equal(t, want, breaches(t, repository))
	}
	ours := func(name string) string { return fmt.Sprintf("import %q\n", module+name) }

	f("edgehub/a.go", ours("edgehub/internal/low")+ours("internal/a")+`import ("net/http"; "example.org/m/n"; "example.org/m")`)
	f("edgehub/a.go", ours("exporter"), "edgehub/a.go imports exporter; the table of DESIGN.md allows [\"edgehub/internal/*\" \"internal/a\"]")
	f("edgehub/a.go", ours("internal/b"), "edgehub/a.go imports internal/b; the table of DESIGN.md allows [\"edgehub/internal/*\" \"internal/a\"]")
	f("edgehub/a.go", `import "example.org/more"`, "edgehub/a.go imports example.org/more; the table of DESIGN.md allows [\"example.org/m\"]")
	f("edgehub/internal/low/b_windows.go", ours("edgehub"), "edgehub/internal/low/b_windows.go imports edgehub; the table of DESIGN.md allows []")
	f("edgehub/internal/low/b.go", ours("e2e/bench"), "edgehub/internal/low/b.go imports e2e/bench; the table of DESIGN.md allows []")
	f("edgehub/internal/low/b_test.go", ours("edgehub"))
	f("edgehub/other/a.go", "", "edgehub/other/a.go: the table of DESIGN.md has no line for edgehub/other")
	f("internal/a/b/a.go", "", "internal/a/b/a.go: the table of DESIGN.md has no line for internal/a/b")
}
