package trial

import (
	"github.com/hubring/hubring/edgehub/internal/series"
)

const (
	// enough series of one gateway or family that were set aside one by one condemn
	// others of it that are refused together, where none of them was ever stored.
	enough = 4
	// plenty condemn them in any case: the search has to end.
	plenty = 16
)

// incident is what was learned since some series were suspected.
type incident struct {
	retry *ward        // it is about series that had been set aside
	bad   map[key]int  // set aside one by one
	good  map[key]bool // stored
}

func newIncident(retry *ward) *incident {
	return &incident{retry: retry, bad: make(map[key]int), good: make(map[key]bool)}
}

// condemns says whether series that were refused together need not be tried singly.
func (t *Trial[P]) condemns(c *incident, ids []series.ID) bool {
	for _, k := range t.alike(ids) {
		if c.bad[k] >= plenty || c.bad[k] >= enough && !c.good[k] {
			return true
		}
	}
	return false
}

// convicted notes that a series was set aside alone, exonerated that it was stored.
func (t *Trial[P]) convicted(c *incident, id series.ID) {
	c.bad[t.keyOf(id, byGateway)]++
	c.bad[t.keyOf(id, byFamily)]++
}

func (t *Trial[P]) exonerated(c *incident, id series.ID) {
	c.good[t.keyOf(id, byGateway)] = true
	c.good[t.keyOf(id, byFamily)] = true
}
