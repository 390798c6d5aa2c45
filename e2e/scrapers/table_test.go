package scrapers

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// page is the file that holds the tables.
var page = filepath.Join("..", "..", "docs", "scrapers.md")

// expected is what a row of the table says of one way to try it: asked or unasked.
type expected struct{ lost, twice quantity }

// quantity is a number as the table writes it.
type quantity string

const (
	none    quantity = "0"
	some    quantity = "some" // one at least
	all     quantity = "all"
	perhaps quantity = "few" // a moment decides whether there are any
	untried quantity = "–"   // there is no such case
)

func (q quantity) allows(n, pushed int) bool {
	switch q {
	case none:
		return n == 0
	case some:
		return n > 0
	case all:
		return n == pushed
	case perhaps:
		return true
	case untried:
	}
	return false
}

// entry is a row of a table.
type entry struct {
	test           string
	asked, unasked expected
}

var (
	cell    = regexp.MustCompile(`\s*\|\s*`)
	testRef = regexp.MustCompile("^`(Test[A-Za-z0-9]+)`$")
)

// table reads the rows of all tables of the page.
func table() ([]entry, error) {
	content, err := os.ReadFile(page)
	if err != nil {
		return nil, err
	}
	var rows []entry
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := cell.Split(strings.Trim(line, "| "), -1)
		ref := testRef.FindStringSubmatch(cells[len(cells)-1])
		if ref == nil {
			continue // a heading
		}
		if len(cells) != 8 {
			return nil, fmt.Errorf("%s: a row has %d cells, not 8: %s", page, len(cells), line)
		}
		e := entry{test: ref[1]}
		for i, to := range []*quantity{&e.asked.lost, &e.asked.twice, &e.unasked.lost, &e.unasked.twice} {
			*to = quantity(cells[3+i])
			if !slices.Contains([]quantity{none, some, all, perhaps, untried}, *to) {
				return nil, fmt.Errorf("%s: %q is no quantity: %s", page, *to, line)
			}
		}
		rows = append(rows, e)
	}
	return rows, nil
}

// expectedOf is what the table says of a test.
func expectedOf(t *testing.T, asked bool) expected {
	t.Helper()
	rows, err := table()
	require.NoError(t, err)
	test, _, _ := strings.Cut(t.Name(), "/")
	for _, e := range rows {
		if e.test != test {
			continue
		}
		if asked {
			return e.asked
		}
		return e.unasked
	}
	t.Fatalf("%s has no row for %s", page, test)
	return expected{}
}

// Each row of the table has a test, and each test of a row, one that is tried asked or
// unasked, is in the table, once.
func TestTableHasEveryRow(t *testing.T) {
	rows, err := table()
	require.NoError(t, err)
	var inTable []string
	for _, e := range rows {
		inTable = append(inTable, e.test)
	}
	inTests := rowTests(t)
	require.ElementsMatch(t, inTests, inTable)
	require.Greater(t, len(inTests), 20)
}

// Where a server is asked nothing is lost and nothing comes twice.
func TestTablePromisesWhatTheHubDoes(t *testing.T) {
	rows, err := table()
	require.NoError(t, err)
	for _, e := range rows {
		require.Contains(t, []quantity{none, untried}, e.asked.lost, e.test)
		require.Contains(t, []quantity{none, untried}, e.asked.twice, e.test)
	}
}

// rowTests are the tests of this package that call startRow, by themselves or by way of
// a function of theirs.
func rowTests(t *testing.T) []string {
	files, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	calls := map[string][]string{} // function: those that it calls
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		require.NoError(t, err)
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f.Body, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					switch callee := call.Fun.(type) {
					case *ast.Ident:
						calls[f.Name.Name] = append(calls[f.Name.Name], callee.Name)
					case *ast.SelectorExpr:
						calls[f.Name.Name] = append(calls[f.Name.Name], callee.Sel.Name)
					}
				}
				return true
			})
		}
	}
	var out []string
	for f := range calls {
		if strings.HasPrefix(f, "Test") && reaches(calls, f, "startRow", map[string]bool{}) {
			out = append(out, f)
		}
	}
	return out
}

func reaches(calls map[string][]string, from, to string, seen map[string]bool) bool {
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, next := range calls[from] {
		if next == to || reaches(calls, next, to, seen) {
			return true
		}
	}
	return false
}
