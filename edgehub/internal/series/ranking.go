package series

import "slices"

// Ranking is the order in which series are written: family by family, those without a
// type first, in the order of their names, and within a family as they were first seen,
// which keeps the buckets of a histogram as their sender sorted them. It does not change
// once made.
//
// To Prometheus a TYPE line of the text format counts until the next one, whatever the
// names say: behind a histogram it reads the le of a series without a type as a number,
// and le="1" becomes le="1.0". In front of all types each is what it says.
type Ranking struct {
	Families []Family
	Order    []ID
	Quoted   bool // some series have a name that is not a classic one

	traits []traits // by series number
	chunks []*Chunk
}

// Family is a stretch of the order.
type Family struct {
	Name     string
	Type     string // as in a TYPE line; empty for none
	Help     string // without escapes
	From, To int    // its series in the order
	Compound bool   // it is a histogram or summary
}

// Numbers is one more than the highest number of a series.
func (r *Ranking) Numbers() int { return len(r.traits) }

// Knows says whether there is a series with a number.
func (r *Ranking) Knows(id ID) bool { return int(id) < len(r.traits) && r.traits[id].canonical != 0 }

// Text is the canonical text of a series.
func (r *Ranking) Text(id ID) string { return At(r.chunks, r.traits[id].canonical).Raw }

// Group is equal for the series of one histogram or summary.
func (r *Ranking) Group(id ID) uint32 { return r.traits[id].group }

// Gateway is the number of a series' gateway.
func (r *Ranking) Gateway(id ID) uint32 { return At(r.chunks, r.traits[id].canonical).Gateway() }

// Own says whether the hub itself writes a series.
func (r *Ranking) Own(id ID) bool { return r.traits[id].own }

// Ranked returns the ranking of all series that the table holds now.
func (t *Table) Ranked() *Ranking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rank != nil {
		return t.rank
	}
	r := &Ranking{Order: make([]ID, 0, t.series), traits: slices.Clip(t.traits), chunks: t.Index.Chunks(), Quoted: t.quoted > 0}
	families := t.sortFamilies()
	for _, typed := range []bool{false, true} {
		for _, f := range families {
			if (t.shownType(f) != "") == typed {
				from := len(r.Order)
				r.Order = append(r.Order, f.members...)
				r.Families = append(r.Families, t.ranked(f, from, len(r.Order)))
			}
		}
	}
	t.rank = r
	return r
}
