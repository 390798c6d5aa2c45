package series

import "unsafe"

// What a table is written down by, and made from again.

// Limit sets other limits, by which newcomers are measured from then on.
func (t *Table) Limit(l Limits) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.limits = l
}

// Spell calls f for each of these series, with its canonical text, which is valid until f returns, or the name of
// its gateway where own says that the hub writes it.
func (t *Table) Spell(ids []ID, f func(id ID, text, gateway string, own bool)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pages := t.Index.pages.Load()
	var text []byte
	for _, id := range ids {
		known := t.traits.at(id)
		sp := pages.at(known.canonical)
		gateway := ""
		if known.own {
			gateway = t.enlisted[sp.Gateway()-1].name
		}
		text = pages.appendText(text[:0], sp)
		f(id, unsafe.String(&text[0], len(text)), gateway, known.own)
	}
}

// Families calls f for each family of which there is something to say.
func (t *Table) Families(f func(name, kind, help string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, fam := range t.families {
		t.tell(fam, f)
	}
}

// FamiliesOf calls f for those that newcomers were to describe.
func (t *Table) FamiliesOf(names *Newcomers, f func(name, kind, help string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range names.List {
		if n := &names.List[i]; n.Kind != OfSeries {
			if fam := t.families[string(names.bytes(n, n.Name))]; fam != nil {
				t.tell(fam, f)
			}
		}
	}
}

func (t *Table) tell(fam *family, f func(name, kind, help string)) {
	if (fam.kind != "" || fam.help != "") && (t.own == nil || fam.name != t.own.Name) {
		f(fam.name, fam.kind, fam.help)
	}
}

// Describe takes in what was known of a family.
func (t *Table) Describe(name, kind, help string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.familyNamed(name)
	if help != "" {
		t.setHelp(f, help)
	}
	if kind != "" && f.kind == "" {
		t.setKind(f, kind)
	}
}

// OwnOf returns the series that the hub writes of a gateway, and the gateway's number.
func (t *Table) OwnOf(gateway string) (own ID, number uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.members[gateway]; m != nil {
		return m.own, m.number
	}
	return None, 0
}

// Saw notes when series were last seen, by number, in Unix seconds. Those with 0 stay as they are.
func (t *Table) Saw(seconds []uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for id := range min(len(seconds), t.traits.len) {
		if seconds[id] != 0 {
			t.traits.at(ID(id)).seen = seconds[id]
		}
	}
}
