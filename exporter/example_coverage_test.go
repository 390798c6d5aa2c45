package exporter_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every exported function, type and method has an example, here and in the rooms that
// are for everybody, and its output is checked. Example alone, which the README shows,
// needs hubs to run.
func TestEverythingHasAnExample(t *testing.T) {
	for room, uncheckable := range map[string][]string{".": {"Example"}, "magma": nil, "members": nil} {
		p := documentedIn(t, room)
		assert.Empty(t, withoutExample(p), "write an Example for each of these in %s", room)
		assert.Equal(t, uncheckable, unchecked(p), "add // Output: to the others in %s", room)
	}
}

func documentedIn(t *testing.T, room string) *doc.Package {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(room, "*.go"))
	require.NoError(t, err)
	fset := token.NewFileSet()
	var files []*ast.File
	for _, path := range paths {
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	return documented(t, fset, files)
}

// The test above finds what it looks for.
func TestWhatHasNoExampleIsFound(t *testing.T) {
	fset := token.NewFileSet()
	var files []*ast.File
	for name, text := range map[string]string{
		"p.go": `package p
			type Shown struct{}
			func NewShown() Shown { return Shown{} }
			func (Shown) Bare() {}
			func (Shown) Error() string { return "" }
			type Hidden int
			type unexported int
			func Free() {}
			func Covered() {}`,
		"p_test.go": `package p_test
			func ExampleShown() {
				println()
				// Output:
			}
			func ExampleCovered_variant() { println() }`,
	} {
		file, err := parser.ParseFile(fset, name, text, parser.ParseComments)
		require.NoError(t, err)
		files = append(files, file)
	}
	p := documented(t, fset, files)
	assert.ElementsMatch(t, []string{"Free", "Hidden", "NewShown", "Shown.Bare"}, withoutExample(p))
	assert.Equal(t, []string{"ExampleCovered_variant"}, unchecked(p))
}

func documented(t *testing.T, fset *token.FileSet, files []*ast.File) *doc.Package {
	t.Helper()
	p, err := doc.NewFromFiles(fset, files, "example.com/p")
	require.NoError(t, err)
	return p
}

// withoutExample returns the names that have none. A type is shown by its
// methods' examples, too, and what errors, Stringers and texts say by their type's.
func withoutExample(p *doc.Package) []string {
	var missing []string
	miss := func(name string, examples []*doc.Example) {
		if len(examples) == 0 {
			missing = append(missing, name)
		}
	}
	for _, f := range p.Funcs {
		miss(f.Name, f.Examples)
	}
	for _, typ := range p.Types {
		shown := typ.Examples
		for _, m := range typ.Methods {
			shown = append(shown, m.Examples...)
			if !slices.Contains([]string{"Error", "String", "MarshalText", "UnmarshalText"}, m.Name) {
				miss(typ.Name+"."+m.Name, m.Examples)
			}
		}
		miss(typ.Name, shown)
		for _, f := range typ.Funcs {
			miss(f.Name, f.Examples)
		}
	}
	return missing
}

// unchecked returns the examples whose output is not compared.
func unchecked(p *doc.Package) []string {
	var names []string
	note := func(examples []*doc.Example) {
		for _, e := range examples {
			if e.Output == "" && !e.EmptyOutput {
				names = append(names, "Example"+e.Name)
			}
		}
	}
	note(p.Examples)
	for _, f := range p.Funcs {
		note(f.Examples)
	}
	for _, typ := range p.Types {
		note(typ.Examples)
		for _, f := range append(typ.Funcs, typ.Methods...) {
			note(f.Examples)
		}
	}
	return names
}
