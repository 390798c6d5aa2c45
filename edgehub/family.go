package edgehub

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hubring/hubring/internal/exposition"
)

// family is a metric family: what series of one name, or of one histogram or
// summary, have in common. The table's lock guards it.
type family struct {
	name     string
	kind     string // as in a TYPE line; empty when nobody said
	help     string // with its escapes
	members  []seriesID
	odd      int  // series whose bounds are no numbers: it can't be read as a histogram or summary
	expired  bool // no longer in the table
	metadata int  // spellings of its TYPE and HELP lines that are remembered
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
func (t *table) homeFamily(name string) *family {
	if base, ok := t.families[baseName(name)]; ok && base.compound() {
		if base.kind == "histogram" || !strings.HasSuffix(name, "_bucket") {
			return base
		}
	}
	return t.familyNamed(name)
}

func (t *table) familyNamed(name string) *family {
	f, ok := t.families[name]
	if !ok {
		f = &family{name: strings.Clone(name)}
		t.families[f.name] = f
	}
	return f
}

// markOdd counts a series with a bound that is no number, at its own family and
// at the histogram or summary that it could be read as a part of.
func (t *table) markOdd(s *series, by int) {
	s.family.odd += by
	if base := baseName(s.name); base != "" && base != s.family.name {
		t.familyNamed(base).odd += by
	}
}

// describe takes in a TYPE or HELP line that was not seen before. The first type
// of a family stays; senders that disagree about it don't change each other's
// samples. Of help texts, the newest is kept.
func (t *table) describe(kind exposition.Kind, name, text, line []byte) (conflict bool, err error) {
	if limit := t.limits.SeriesBytes; len(line) > limit {
		return false, fmt.Errorf("the HELP or TYPE line of %.100q has %d bytes, the limit is %d", name, len(line), limit)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	f, ok := t.families[string(name)]
	if !ok {
		if len(t.families) >= t.maxSeries {
			return false, errSeriesFull(t.maxSeries)
		}
		f = t.familyNamed(string(name))
	}
	switch {
	case kind == exposition.Help:
		f.help = string(exposition.AppendHelp(nil, exposition.UnescapeHelp(text)))
		t.rank = nil
	case f.kind == "":
		f.kind = string(text)
		t.rank = nil
	case f.kind != string(text):
		conflict = true
	}
	if f.metadata < maxSpellings {
		f.metadata++
		raw := string(line)
		t.spellings[raw] = &spelling{raw: raw, id: noSeries, family: f}
	}
	return conflict, nil
}

// appendMetadata appends the family's HELP and TYPE lines. It leaves them out where a
// strict parser would refuse them: for a name that reads as part of another
// family, and for a histogram or summary whose bounds are no numbers.
func (t *table) appendMetadata(dst []byte, f *family) []byte {
	if base, ok := t.families[baseName(f.name)]; ok && base.compound() {
		return dst
	}
	if f.help != "" {
		dst = append(dst, "# HELP "...)
		dst = append(dst, f.name...)
		dst = append(dst, ' ')
		dst = append(dst, f.help...)
		dst = append(dst, '\n')
	}
	if f.kind != "" && (f.odd == 0 || !f.compound()) {
		dst = append(dst, "# TYPE "...)
		dst = append(dst, f.name...)
		dst = append(dst, ' ')
		dst = append(dst, f.kind...)
		dst = append(dst, '\n')
	}
	return dst
}

// sortFamilies returns the families that have series, by name.
func (t *table) sortFamilies() []*family {
	sorted := make([]*family, 0, len(t.families))
	for _, f := range t.families {
		if len(f.members) > 0 {
			sorted = append(sorted, f)
		}
	}
	slices.SortFunc(sorted, func(a, b *family) int { return strings.Compare(a.name, b.name) })
	return sorted
}
