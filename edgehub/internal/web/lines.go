package web

import (
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/samples"
)

// maxScrapes is how many scrapes by strangers, whose responses were never taken, may be
// under way at the same time.
const maxScrapes = 64

// lines finds the line of each cursor or part. It has as many as the log has ways to
// divide the series of its scrapers.
type lines struct {
	server    *Server
	strangers chan struct{} // a place for each scrape of theirs

	mu     sync.Mutex
	of     map[*samples.Cursor]*line
	splits [][]time.Time // by scraper: when it last came with another number of parts
}

func (ls *lines) init(s *Server) {
	ls.server = s
	ls.strangers = make(chan struct{}, maxScrapes)
	ls.of = map[*samples.Cursor]*line{}
	ls.splits = make([][]time.Time, len(s.cfg.Cursors))
}

// line returns the line that a request is for.
func (ls *lines) line(q request) *line {
	c, resplit := ls.server.store.Log.Cursor(q.scraper, q.part, q.parts)
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if resplit {
		ls.resplitLocked(q)
	}
	l, ok := ls.of[c]
	if !ok {
		l = ls.server.newLine(c, q)
		ls.of[c] = l
	}
	return l
}

// Scrapers that share a cursor and divide its series differently come by turns: so many
// changes within so long are no operator's.
const (
	manyResplits = 4
	resplitSpan  = 10 * time.Minute
)

func (ls *lines) resplitLocked(q request) {
	s, name := ls.server, ls.server.cfg.Cursors[q.scraper]
	s.Counts.Resplits.Add(1)
	s.cfg.Logger.Info("a scraper comes with another number of parts; each begins where the one furthest behind was",
		"cursor", name, "parts", q.parts)
	kept := map[int]bool{}
	for _, parts := range s.store.Log.Splits(q.scraper) {
		kept[parts] = true
	}
	for c, l := range ls.of {
		if l.scraper == q.scraper && !kept[l.parts] {
			delete(ls.of, c)
		}
	}
	times, now := ls.splits[q.scraper], time.Now()
	times = append(times, now)
	if len(times) > manyResplits {
		times = times[1:]
	}
	ls.splits[q.scraper] = times
	if len(times) == manyResplits && now.Sub(times[0]) < resplitSpan {
		s.conflict(name, "they divide its series into different numbers of parts")
	}
}

// all returns the lines that there are.
func (ls *lines) all() []*line {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	all := make([]*line, 0, len(ls.of))
	for _, l := range ls.of {
		all = append(all, l)
	}
	return all
}

// shared notes that two scrapers were seen on a line.
func (ls *lines) shared(k key) {
	for _, l := range ls.all() {
		if l.key() == k {
			l.mu.Lock()
			l.shared = time.Now()
			l.mu.Unlock()
		}
	}
}

// forget forgets the series whose numbers become free.
func (ls *lines) forget(keep []bool) {
	for _, l := range ls.all() {
		if l.trial != nil {
			l.trial.Forget(keep)
		}
	}
}

// conflict says that two scrapers share a cursor.
func (s *Server) conflict(cursor, why string) {
	s.Counts.Conflicts.add(cursor, 1)
	if s.notes.first("conflict " + cursor) {
		s.cfg.Logger.Warn("two scrapers share a cursor, so that not each gets every sample; give each a cursor of its own (--scrape.cursor)",
			"cursor", cursor, "seen", why)
	}
}

// Doubt is what is to be known of a cursor besides its lag.
type Doubt struct {
	SetAside        int           // series that its server refuses
	ReceiptsMissing bool          // though its server stores the samples
	Ahead           time.Duration // by which its server's clock is ahead of the hub's
	Known           bool          // that is
}

// Doubts returns them by cursor.
func (s *Server) Doubts() map[string]Doubt {
	doubts := map[string]Doubt{}
	for _, name := range s.cfg.Cursors {
		var d Doubt
		if asker := s.cfg.Servers[name]; asker != nil {
			d.Ahead, d.Known = asker.Ahead()
		}
		doubts[name] = d
	}
	for _, l := range s.lines.all() {
		d := doubts[l.name]
		if l.trial != nil {
			d.SetAside += l.trial.Aside()
		}
		d.ReceiptsMissing = d.ReceiptsMissing || l.asks() && l.receiptsMissing()
		doubts[l.name] = d
	}
	return doubts
}
