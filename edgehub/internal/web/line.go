package web

import (
	"hash/maphash"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/trial"
)

// line is what the hub knows of one cursor or part: how much its scraper takes, which
// series its server refuses, and the responses that are written and not settled.
//
// A response is settled once: it is taken, or lost and its samples come again.
// What settles it is the server, where there is one to ask, and else the connection.
type line struct {
	s           *Server
	cursor      *samples.Cursor
	name        string // of the cursor
	scraper     int
	part, parts int
	asker       *receipt.Asker                // nil where there is nobody to ask
	trial       *trial.Trial[*samples.Cursor] // likewise

	mu       sync.Mutex
	pace     pace
	rank     *series.Ranking // of the last response; the trial asks about its series
	open     []*response
	receipts receipts
	underWay map[string]int // scrapes by client
	known    string         // the client whose response was taken last
	lost     int            // responses running that were written whole and lost
	said     seldom         // that a response was not stored
	shared   time.Time      // when two scrapers were last seen on the line
}

func (s *Server) newLine(c *samples.Cursor, q request) *line {
	l := &line{
		s: s, cursor: c, name: s.cfg.Cursors[q.scraper], scraper: q.scraper, part: q.part, parts: q.parts,
		asker:    s.cfg.Servers[s.cfg.Cursors[q.scraper]],
		pace:     newPace(s.cfg.MaxScrapeSamples),
		underWay: map[string]int{},
	}
	if l.asks() {
		l.trial = trial.New(c, trial.Config[*samples.Cursor]{
			Most:    s.cfg.MaxScrapeSamples,
			MaxHeld: s.cfg.MaxSamples / 4,
			At:      s.store.Log.At, Fork: s.store.Log.Fork, Drop: s.store.Log.Drop,
			Gateway: func(id series.ID) uint32 { return ask(l, id, (*series.Ranking).Gateway) },
			Family:  func(id series.ID) uint32 { return ask(l, id, familyOf) },
			Named: func(id series.ID, start string) bool {
				return strings.HasPrefix(ask(l, id, (*series.Ranking).Text), start)
			},
		})
	}
	return l
}

// asks says whether there is a server to ask.
func (l *line) asks() bool { return l.asker != nil }

// key tells the lines of a hub apart.
type key struct{ scraper, part, parts int }

func (l *line) key() key { return key{l.scraper, l.part, l.parts} }

// labels are those of the line's receipts.
func (l *line) labels() receipt.Labels {
	labels := receipt.Labels{Cursor: l.name}
	if l.parts > 1 {
		labels.Part = strconv.Itoa(l.part+1) + "/" + strconv.Itoa(l.parts)
	}
	return labels
}

// ask asks the last ranking about a series, which it may not have.
func ask[T any](l *line, id series.ID, what func(*series.Ranking, series.ID) T) (answer T) {
	l.mu.Lock()
	rank := l.rank
	l.mu.Unlock()
	if rank == nil || !rank.Knows(id) {
		return answer
	}
	return what(rank, id)
}

var familySeed = maphash.MakeSeed()

// familyOf is equal for series of one metric name.
func familyOf(rank *series.Ranking, id series.ID) uint32 {
	name, _, _ := strings.Cut(rank.Text(id), "{")
	return uint32(maphash.String(familySeed, name))
}
