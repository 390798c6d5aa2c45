package series

import (
	"slices"
	"time"
)

// Own is a family that the hub itself writes: a series for each gateway that has any. It
// counts for no limit but that of bytes, since there are never more of them than others.
type Own struct {
	Name, Kind, Help string
	// Text is the canonical text of a gateway's series. It need not stay what it is.
	Text func(gateway string) (text []byte, group uint32, quoted bool)
}

// Arrival is a gateway that gets its first series, or gets one again.
type Arrival struct {
	Gateway uint32
	Own     ID   // the series that the hub writes of it, or None
	Fresh   bool // its number was nobody's, or somebody else's
}

// arrive gives each gateway of a push that has no series yet the one that the hub writes.
// Whoever reads the table meets none of its others before.
func (t *Table) arrive(names *Newcomers, now time.Time) (arrivals []Arrival) {
	for i := range names.List {
		m := names.List[i].owner
		if m == nil || !m.fresh && (t.own == nil || m.own != None) {
			continue
		}
		a := Arrival{Gateway: m.number, Own: None, Fresh: m.fresh}
		if m.fresh {
			t.Index.call(m.number, m.name)
			m.fresh = false
		}
		if t.own != nil {
			m.own = t.addOwn(m, now)
			a.Own = m.own
		}
		arrivals = append(arrivals, a)
	}
	return arrivals
}

func (t *Table) addOwn(m *member, now time.Time) ID {
	text, group, quoted := t.own.Text(m.name)
	id := t.number()
	*t.traits.at(id) = traits{
		canonical: t.add(Text, t.Index.Hash(Text, text), m.cut(text, 0), id, m.number),
		group:     group,
		seen:      uint32(now.Unix()),
		own:       true,
	}
	f := t.familyNamed(t.own.Name)
	if f.kind == "" {
		f.kind, f.help = t.own.Kind, t.own.Help
		t.bytes += int64(len(f.help))
	}
	f.members = append(f.members, id)
	if quoted {
		t.quoted++
	}
	t.rank = nil
	return id
}

// keepOwn keeps the series that the hub writes of the gateways that keep others.
func (t *Table) keepOwn(keep []bool) {
	stays := make([]bool, len(t.enlisted)+1)
	pages := t.Index.pages.Load()
	for id, s := range t.traits.all {
		if keep[id] && !s.own {
			stays[pages.at(s.canonical).Gateway()] = true
		}
	}
	for _, m := range t.enlisted {
		if m != nil && m.own != None && stays[m.number] {
			keep[m.own] = true
		}
	}
}

// EachOf calls f for each of the gateways with these numbers that has series, with all of
// its series, the hub's own as well, until f returns an error. No names come or go
// meanwhile. Its error is that of f, or ErrReplaced.
func (t *Table) EachOf(gateways []uint32, f func(gateway uint32, ids []ID) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.replaced {
		return ErrReplaced
	}
	const unwanted = -1
	place := make([]int, len(t.enlisted)+1) // by gateway: of its series among all that are wanted
	for i := range place {
		place[i] = unwanted
	}
	for _, g := range gateways {
		if int(g) < len(place) {
			place[g] = 0
		}
	}
	pages := t.Index.pages.Load()
	type owned struct {
		gateway uint32
		id      ID
	}
	var found []owned
	for id, s := range t.traits.all {
		if s.canonical != 0 {
			if g := pages.at(s.canonical).Gateway(); place[g] != unwanted {
				place[g]++
				found = append(found, owned{g, id})
			}
		}
	}
	next := 0
	for g, n := range place {
		if n != unwanted {
			place[g] = next
			next += n
		}
	}
	ids := make([]ID, len(found))
	for _, o := range found {
		ids[place[o.gateway]] = o.id
		place[o.gateway]++
	}
	from := 0
	for g, to := range place {
		if to == unwanted || to == from {
			continue
		}
		if err := f(uint32(g), slices.Clip(ids[from:to])); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// Numbers returns the numbers of gateways by their names; 0 for one that the table does not
// know.
func (t *Table) Numbers(names []string) []uint32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	numbers := make([]uint32, len(names))
	for i, name := range names {
		if m, ok := t.members[name]; ok {
			numbers[i] = m.number
		}
	}
	return numbers
}
