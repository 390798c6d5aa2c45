package series

import (
	"slices"
	"strings"
)

// family is a metric family: what series of one name, or of one histogram or
// summary, have in common. The table's lock guards it.
type family struct {
	name     string
	kind     string // as in a TYPE line; empty when nobody said
	help     string // without escapes
	members  []ID
	odd      int // series whose bounds are no numbers: it can't be read as a histogram or summary
	metadata int // spellings of its TYPE and HELP lines that are remembered
}

// suffixes are the endings that the series of a histogram or summary carry
// behind the family's name.
var suffixes = []string{"_bucket", "_count", "_sum"}

// baseName is the name of the histogram or summary that a series of this name
// could belong to, or "".
func baseName(name string) string {
	for _, s := range suffixes {
		if base, ok := strings.CutSuffix(name, s); ok {
			return base
		}
	}
	return ""
}

func (f *family) compound() bool { return f.kind == "histogram" || f.kind == "summary" }

// homeFamily returns the family of a new series, which it may create.
func (t *Table) homeFamily(name []byte) *family {
	if f, ok := t.homes[string(name)]; ok {
		return f
	}
	f := t.findHome(string(name))
	t.homes[string(name)] = f
	return f
}

func (t *Table) findHome(name string) *family {
	if base, ok := t.families[baseName(name)]; ok && base.compound() {
		if base.kind == "histogram" || !strings.HasSuffix(name, "_bucket") {
			return base
		}
	}
	return t.familyNamed(name)
}

func (t *Table) familyNamed(name string) *family {
	f, ok := t.families[name]
	if !ok {
		f = &family{name: name}
		t.families[f.name] = f
	}
	return f
}

// familiesWith is the number of families there would be with the newcomers.
func (t *Table) familiesWith(names *Newcomers) int {
	fresh := map[string]bool{}
	for i := range names.List {
		if name := names.bytes(&names.List[i], names.List[i].Name); t.families[string(name)] == nil {
			fresh[string(name)] = true
		}
	}
	return t.othersFamilies() + len(fresh)
}

// othersFamilies is the number of families, but for the hub's own.
func (t *Table) othersFamilies() int {
	if t.own != nil && t.families[t.own.Name] != nil {
		return len(t.families) - 1
	}
	return len(t.families)
}

// oddity is where a series with a bound that is no number counts: at its own
// family, and at the histogram or summary that it could be read as a part of.
type oddity struct{ home, base string }

func (t *Table) oddityOf(name string) oddity {
	o := oddity{home: t.homeFamily([]byte(name)).name, base: baseName(name)}
	if o.base == o.home {
		o.base = ""
	}
	return o
}

func (t *Table) countOdd(o oddity, by int) {
	t.familyNamed(o.home).odd += by
	if o.base != "" {
		t.familyNamed(o.base).odd += by
	}
}

// describe takes in a TYPE or HELP line that was not seen before. The first type
// of a family stays; senders that disagree about it don't change each other's
// samples. Of help texts, the newest is kept.
func (t *Table) describe(names *Newcomers, n *Newcomer) {
	f, text := t.familyNamed(string(names.bytes(n, n.Name))), names.bytes(n, n.Text)
	switch {
	case n.Kind == OfHelp:
		if f.help != string(text) {
			t.setHelp(f, string(text))
		}
	case f.kind == "":
		t.setKind(f, string(text))
	case f.kind != string(text):
		names.Conflicts++
	}
	if f.metadata < maxSpellings {
		f.metadata++
		t.add(n.Format, n.Hash, whole(n.Raw), None, 0)
	}
}

func (t *Table) setHelp(f *family, help string) {
	t.bytes += int64(len(help) - len(f.help))
	f.help = help
	t.rank = nil
}

func (t *Table) setKind(f *family, kind string) {
	f.kind = kind
	t.rank = nil
	for _, s := range suffixes {
		delete(t.homes, f.name+s)
		t.bringHome(f, f.name+s)
	}
}

// bringHome moves series of a name that came before the type of their histogram or
// summary was said.
func (t *Table) bringHome(f *family, name string) {
	if known, ok := t.families[name]; ok && t.findHome(name) == f {
		f.members = append(f.members, known.members...)
		known.members = nil
	}
}

// ranked is what readers see of the family.
func (t *Table) ranked(f *family, from, to int) Family {
	r := Family{Name: f.name, Type: t.shownType(f), From: from, To: to, Compound: f.compound()}
	if !t.partOfCompound(f) {
		r.Help = f.help
	}
	return r
}

// shownType is the family's type, or "" where nobody said it or where a strict parser
// would refuse it: for a name that reads as part of another family, and for a histogram
// or summary whose bounds are no numbers.
func (t *Table) shownType(f *family) string {
	if t.partOfCompound(f) || f.odd > 0 && f.compound() {
		return ""
	}
	return f.kind
}

// partOfCompound says whether the family's name reads as part of a histogram or summary.
func (t *Table) partOfCompound(f *family) bool {
	base, ok := t.families[baseName(f.name)]
	return ok && base.compound()
}

// sortFamilies returns the families that have series, by name.
func (t *Table) sortFamilies() []*family {
	sorted := make([]*family, 0, len(t.families))
	for _, f := range t.families {
		if len(f.members) > 0 {
			sorted = append(sorted, f)
		}
	}
	slices.SortFunc(sorted, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	return sorted
}
