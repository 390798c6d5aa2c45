package relay

import (
	"cmp"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/store"
	"github.com/hubring/hubring/edgehub/internal/words"
)

// chunkSamples is how many samples are settled at a time: some 10 MB with what it takes to sort them.
const chunkSamples = 64 << 10

// record is a sample of a chunk.
type record struct {
	id      series.ID
	gateway uint32
	phase   uint32 // how often its gateway had ended before
	own     bool   // the hub wrote it of its gateway; the other hub has its own
	wanted  bool   // no scraper has it
	taken   bool   // by the other hub
	time    int64
	value   float64
}

// chunk is a stretch of the log. Its records are in the order of arrival.
type chunk struct {
	*store.Missing
	records []record
	order   []uint32 // those that are to go out by phase, gateway and time, markers of a phase last
}

// read reads a stretch. The values of packed samples come series by series, and so find their places by counting. Where the stretch goes on
// behind its end it leaves out the last sample, which may be one that words follow.
func read(m *store.Missing, goesOn bool) *chunk {
	view := m.View
	view.From = m.Lead
	c := &chunk{Missing: m, records: make([]record, 0, view.To-view.From)}
	next := make([]uint32, m.Rank.Numbers()+1)
	for s := range view.Keys() {
		for i, id := range s.IDs {
			c.records = append(c.records, record{
				id: id, gateway: m.Rank.Gateway(id), time: s.Times[i],
				own:    m.Rank.Own(id),
				wanted: missed(m, m.Places, id, m.Lead+uint64(len(c.records))),
			})
			next[id+1]++
		}
	}
	for i := range next[1:] {
		next[i+1] += next[i]
	}
	places := make([]uint32, len(c.records))
	for i := range c.records {
		id := c.records[i].id
		places[next[id]] = uint32(i)
		next[id]++
	}
	for i := range c.records {
		next[c.records[i].id]--
	}
	for s := range view.Samples(func(series.ID) bool { return true }) {
		for i, id := range s.IDs {
			c.records[places[next[id]]].value = s.Values[i]
			next[id]++
		}
	}
	if goesOn {
		c.endBefore(len(c.records) - 1)
	}
	c.sort()
	return c
}

// endBefore ends a chunk before the sample at a place, or before that which the word at a place follows, unless it would be empty then.
func (c *chunk) endBefore(place int) {
	for place > 0 && c.records[place].follows(&c.records[place-1]) {
		place--
	}
	if place > 0 {
		c.To -= uint64(len(c.records) - place)
		c.records = c.records[:place]
	}
}

// follows says whether a record is a word that follows the one before it.
func (r *record) follows(before *record) bool {
	return r.id == before.id && r.time == before.time && words.Follows(r.value)
}

// sort tells the phases and puts the wanted records in order.
func (c *chunk) sort() {
	type state struct {
		phase uint32
		ends  bool // the last one was a marker
	}
	states := map[uint32]state{}
	for i := range c.records {
		r := &c.records[i]
		if !r.wanted || r.own {
			continue
		}
		s := states[r.gateway]
		if marker := samples.IsMarker(r.value); marker != s.ends {
			if s.ends = marker; !marker {
				s.phase++
			}
			states[r.gateway] = s
		}
		r.phase = s.phase
		c.order = append(c.order, uint32(i))
	}
	slices.SortFunc(c.order, func(i, j uint32) int {
		a, b := &c.records[i], &c.records[j]
		return cmp.Or(cmp.Compare(a.phase, b.phase), order(a, b), cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.time, b.time), cmp.Compare(i, j))
	})
}

// order puts markers last.
func order(a, b *record) int {
	switch x, y := samples.IsMarker(a.value), samples.IsMarker(b.value); {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// missed says whether no scraper has a sample of a series at a position, which none has passed with all of its parts.
func missed(m *store.Missing, places []samples.Place, id series.ID, position uint64) bool {
	for i := range places {
		if !lacks(m, &places[i], id, position) {
			return false
		}
	}
	return true
}

func lacks(m *store.Missing, p *samples.Place, id series.ID, position uint64) bool {
	part := 0
	if len(p.Parts) > 1 {
		part = arrange.PartOf(m.Rank.Group(id), len(p.Parts))
	}
	return position >= p.Parts[part]
}

// passes counts the samples that each scraper passes with the stretch, those that no scraper has, and those that another
// one has.
func passes(m *store.Missing, places []samples.Place) (handed, left []int) {
	handed, left = make([]int, len(places)), make([]int, len(places))
	whole, lead := true, uint64(0)
	for i := range places {
		whole = whole && len(places[i].Parts) == 1
		lead = max(lead, places[i].Parts[0])
	}
	if whole {
		for i := range places {
			at := min(places[i].Parts[0], m.To)
			left[i] = int(min(lead, m.To) - at)
			handed[i] = int(m.To-at) - left[i]
		}
		return handed, left
	}
	position := m.From
	for s := range m.Keys() {
		for _, id := range s.IDs {
			none := missed(m, places, id, position)
			for i := range places {
				if lacks(m, &places[i], id, position) {
					if none {
						handed[i]++
					} else {
						left[i]++
					}
				}
			}
			position++
		}
	}
	return handed, left
}

// kept are the records that were not taken, and what the hub wrote of their gateways, in the order of arrival.
func (c *chunk) kept() (kept samples.Columns, runs []samples.Run) {
	of := map[uint32]bool{}
	for _, i := range c.order {
		if r := &c.records[i]; !r.taken {
			of[r.gateway] = true
		}
	}
	for i := range c.records {
		if r := &c.records[i]; r.wanted && !r.taken && of[r.gateway] {
			kept.Add(r.id, r.time, r.value)
			runs = samples.AddRun(runs, r.gateway, 1)
		}
	}
	return kept, runs
}

// settle has all scrapers pass the chunk. What was not taken is in the log again, so many samples. It returns how many each scraper passed that the
// other hub has.
func (c *chunk) settle(s *store.Store) (handed []int, again int, err error) {
	kept, runs := c.kept()
	if kept.Len() > 0 {
		if err := s.PutBack(c.Missing, &kept, runs, time.Now()); err != nil {
			return nil, 0, err
		}
	}
	for places := c.Places; ; places = s.Log.Places() {
		handed, left := passes(c.Missing, places)
		if !s.Log.Pass(places, c.To, left) {
			continue // a scraper was faster
		}
		for i := range handed {
			handed[i] = max(0, handed[i]-kept.Len())
		}
		return handed, kept.Len(), nil
	}
}
