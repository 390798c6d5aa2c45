package series

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

	traits register
	pages  pages
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
func (r *Ranking) Numbers() int { return r.traits.len }

// Knows says whether there is a series with a number.
func (r *Ranking) Knows(id ID) bool { return int(id) < r.traits.len && r.traits.at(id).canonical != 0 }

// Text is the canonical text of a series. It is put together for whoever asks.
func (r *Ranking) Text(id ID) string { return string(r.AppendText(nil, r.Spelling(id))) }

// Spelling is the canonical spelling of a series.
func (r *Ranking) Spelling(id ID) *Spelling { return r.pages.at(r.traits.at(id).canonical) }

// AppendText appends the text of a series' spelling.
func (r *Ranking) AppendText(dst []byte, sp *Spelling) []byte { return r.pages.appendText(dst, sp) }

// TextBytes is how long the text of a series is.
func (r *Ranking) TextBytes(id ID) int {
	frame, name := r.pages.parts(r.Spelling(id))
	return frame.len + name.len
}

// Group is equal for the series of one histogram or summary.
func (r *Ranking) Group(id ID) uint32 { return r.traits.at(id).group }

// Gateway is the number of a series' gateway.
func (r *Ranking) Gateway(id ID) uint32 { return r.Spelling(id).Gateway() }

// Own says whether the hub itself writes a series.
func (r *Ranking) Own(id ID) bool { return r.traits.at(id).own }

// Ranked returns the ranking of all series that the table holds now.
func (t *Table) Ranked() *Ranking {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.rank != nil {
		return t.rank
	}
	r := &Ranking{Order: make([]ID, 0, t.series), traits: t.traits, pages: *t.Index.pages.Load(), Quoted: t.quoted > 0}
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
