// Package rooms holds the code to the table of DESIGN.md that says who may
// import whom. It has nothing but this test.
package rooms

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
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

// table reads DESIGN.md. A line has a package, what it holds, and what it imports beside
// the standard library: packages of ours, where a * stands for a part of the path, and
// modules of others, with all their packages.
func table(t *testing.T, repository fs.FS) map[string][]string {
	t.Helper()
	text, err := fs.ReadFile(repository, design)
	require.NoError(t, err)
	_, section, found := strings.Cut(string(text), heading)
	require.True(t, found, "%s has no %q", design, heading)
	section, _, _ = strings.Cut(section, "\n## ")
	rooms := map[string][]string{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); strings.HasPrefix(line, "| `") {
			require.Len(t, cells, 6, line)
			rooms[quoted(cells[1])[0]] = slices.Concat(quoted(cells[3]), quoted(cells[4]))
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

// packages finds what each package imports beside the standard library, and a file that
// does. Files of every system count, tests do not, nor modules of their own.
func packages(t *testing.T, repository fs.FS) map[string]map[string]string {
	t.Helper()
	all := map[string]map[string]string{}
	for _, house := range houses {
		err := fs.WalkDir(repository, house, func(file string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir():
				if _, err := fs.Stat(repository, path.Join(file, "go.mod")); err == nil || entry.Name() == "testdata" {
					return fs.SkipDir
				}
			case strings.HasSuffix(file, ".go") && !strings.HasSuffix(file, "_test.go"):
				name := path.Dir(file)
				if all[name] == nil {
					all[name] = map[string]string{}
				}
				for _, imported := range imports(t, repository, file) {
					all[name][imported] = file
				}
			}
			return nil
		})
		require.NoError(t, err)
	}
	return all
}

// imports are those of a file, ours without the path of the module.
func imports(t *testing.T, repository fs.FS, file string) (paths []string) {
	t.Helper()
	text, err := fs.ReadFile(repository, file)
	require.NoError(t, err)
	parsed, err := parser.ParseFile(token.NewFileSet(), file, text, parser.ImportsOnly)
	require.NoError(t, err)
	for _, spec := range parsed.Imports {
		imported := strings.Trim(spec.Path.Value, "`\"")
		if ours, is := strings.CutPrefix(imported, module); is || foreign(imported) {
			paths = append(paths, ours)
		}
	}
	return paths
}

// foreign says whether a path begins with a host, as those of others do.
func foreign(imported string) bool {
	host, _, _ := strings.Cut(imported, "/")
	return strings.Contains(host, ".")
}

// allows says whether a word of the table names what is imported.
func allows(word, imported string) bool {
	if foreign(word) {
		return imported == word || strings.HasPrefix(imported, word+"/")
	}
	matches, _ := path.Match(word, imported) // a wrong pattern matches nothing
	return matches
}

// breaches are the differences between the table and the code.
func breaches(t *testing.T, repository fs.FS) (all []string) {
	rooms, found := table(t, repository), packages(t, repository)
	breach := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for name, imports := range found {
		words, named := rooms[name]
		if !named {
			breach("the table of %s has no line for %s", design, name)
			continue
		}
		for imported, file := range imports {
			if !slices.ContainsFunc(words, func(word string) bool { return allows(word, imported) }) {
				breach("%s imports %s; the table of %s allows %q", file, imported, design, words)
			}
		}
		for _, word := range words {
			used := func(imported string) bool { return allows(word, imported) }
			if !slices.ContainsFunc(slices.Collect(maps.Keys(imports)), used) {
				breach("%s does not import %s, as the table of %s has it", name, word, design)
			}
		}
	}
	for name := range rooms {
		if _, is := found[name]; !is {
			breach("the table of %s has %s, which is no package", design, name)
		}
	}
	slices.Sort(all)
	return all
}

func TestBreachesAreNamed(t *testing.T) {
	files := func(edgehub string) fstest.MapFS {
		return fstest.MapFS{
			"exporter/a.go": {Data: []byte("package exporter")}, "hashring/a.go": {Data: []byte("package hashring")},
			"edgehub/a.go": {Data: []byte("package edgehub\n" + edgehub)}, "edgehub/internal/low/a.go": {Data: []byte("package low")},
			"internal/a/a.go": {Data: []byte("package a")}, "internal/a/b/go.mod": {}, "internal/a/b/a.go": {Data: []byte("package b")},
			design: {Data: []byte("# D\n\n" + heading + "\n| package | holds | ours | others |\n|---|---|---|---|\n" +
				"| `edgehub` | `x` | `edgehub/internal/*`, `internal/a` | `example.org/m` |\n" +
				"| `edgehub/internal/low` | | | |\n| `exporter` | | | |\n| `hashring` | | | |\n| `internal/a` | | | |\n" +
				"\n## Next\n\n| `edgehub/other` | | | |\n")},
		}
	}
	const whole = `import ("net/http"; "github.com/hubring/hubring/edgehub/internal/low"; "github.com/hubring/hubring/internal/a"; "example.org/m/n")`
	f := func(file, text string, want ...string) {
		t.Helper()
		repository := files(whole)
		repository[file] = &fstest.MapFile{Data: []byte("package p\n" + text)}
		assert.Equal(t, want, breaches(t, repository))
	}
	ours := func(name string) string { return fmt.Sprintf("import %q\n", module+name) }
	const allowed = `; the table of DESIGN.md allows ["edgehub/internal/*" "internal/a" "example.org/m"]`

	f("edgehub/b.go", `import "example.org/m"`)
	f("edgehub/b.go", ours("exporter"), "edgehub/b.go imports exporter"+allowed)
	f("edgehub/b.go", ours("internal/b"), "edgehub/b.go imports internal/b"+allowed)
	f("edgehub/b.go", `import "example.org/more"`, "edgehub/b.go imports example.org/more"+allowed)
	f("edgehub/internal/low/b_windows.go", ours("edgehub"), "edgehub/internal/low/b_windows.go imports edgehub; the table of DESIGN.md allows []")
	f("edgehub/internal/low/b.go", ours("e2e/bench"), "edgehub/internal/low/b.go imports e2e/bench; the table of DESIGN.md allows []")
	f("edgehub/internal/low/b_test.go", ours("edgehub"))
	f("edgehub/other/a.go", "", "the table of DESIGN.md has no line for edgehub/other")
	f("internal/a/c/a.go", "", "the table of DESIGN.md has no line for internal/a/c")
	f("edgehub/a.go", ours("edgehub/internal/low")+`import "example.org/m/n"`, "edgehub does not import internal/a, as the table of DESIGN.md has it")
	gone := files(whole)
	delete(gone, "internal/a/a.go")
	assert.Equal(t, []string{"the table of DESIGN.md has internal/a, which is no package"}, breaches(t, gone))
}
