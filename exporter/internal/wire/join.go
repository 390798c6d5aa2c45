package wire

// Joiner writes the bodies of a request one after the other, family by family:
// each family is one group with one header, as the text format demands. Within a
// family the order of the bodies is kept. Its zero value is ready for use.
type Joiner struct {
	family map[string]int // name to index in groups
	groups []group
	runs   []run
	of     *Shape // of the body that was added last
	places []int  // its families' indices in groups
}

// group is a family of the request: its header, which is that of the first body
// that has it, and a list of runs, by their indices.
type group struct {
	header     *Header
	head, tail int
}

// run is what one body has of a family.
type run struct {
	lines []byte
	next  int // index in runs, 0 at the end: a list's head is never a next
}

// Join appends the text of the request to dst.
func (j *Joiner) Join(dst []byte, batch []*Body) []byte {
	for _, b := range batch {
		j.add(b)
	}
	for _, g := range j.groups {
		dst = g.header.append(dst)
		for at := g.head; ; {
			r := &j.runs[at]
			dst = append(dst, r.lines...)
			if at = r.next; at == 0 {
				break
			}
		}
	}
	j.reset()
	return dst
}

// add puts the lines of a body to those of their families.
func (j *Joiner) add(b *Body) {
	if !b.Shape.equal(j.of) {
		j.place(b.Shape)
	}
	start := 0
	for i, end := range b.Ends {
		at := len(j.runs)
		j.runs = append(j.runs, run{lines: b.Text[start:end]})
		start = end
		g := &j.groups[j.places[i]]
		if g.head < 0 {
			g.head = at
		} else {
			j.runs[g.tail].next = at
		}
		g.tail = at
	}
}

// place looks up the groups for the families of a shape. New ones are empty.
func (j *Joiner) place(s *Shape) {
	if j.family == nil {
		j.family = map[string]int{}
	}
	j.of, j.places = s, j.places[:0]
	for i := range s.Families {
		h := &s.Families[i]
		at, ok := j.family[h.Name]
		if !ok {
			at = len(j.groups)
			j.family[h.Name] = at
			j.groups = append(j.groups, group{header: h, head: -1})
		}
		j.places = append(j.places, at)
	}
}

// reset forgets the bodies, or they would live on.
func (j *Joiner) reset() {
	clear(j.family)
	clear(j.groups)
	clear(j.runs)
	j.of, j.places, j.groups, j.runs = nil, j.places[:0], j.groups[:0], j.runs[:0]
}
