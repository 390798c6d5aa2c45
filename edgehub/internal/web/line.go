package web

import (
	"hash/maphash"
	"math"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/render"
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
	said     time.Time      // when it was last said that a response was not stored
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

// clientOf tells clients apart: a host may have several, of different kinds.
func clientOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return host + " " + r.UserAgent()
}

// maxScrapesOfOne is how many scrapes of a line one client may have under way: one
// that it has given up may still hang.
const maxScrapesOfOne = 2

// enter finds a place for a scrape. The client whose response was taken last finds one
// whatever strangers do.
func (l *line) enter(client string) (leave func(), ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.underWay[client] >= maxScrapesOfOne {
		return nil, false
	}
	stranger := client != l.known
	if stranger {
		select {
		case l.s.lines.strangers <- struct{}{}:
		default:
			return nil, false
		}
	}
	l.underWay[client]++
	return func() {
		if stranger {
			<-l.s.lines.strangers
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.underWay[client]--; l.underWay[client] == 0 {
			delete(l.underWay, client)
		}
	}, true
}

// response is what was made for a scrape, and written.
type response struct {
	l        *line
	a        *arrange.Arrangement         // nil once it is written
	turn     *trial.Turn[*samples.Cursor] // nil where there is no trial, or nothing was given
	judged   trial.Response
	number   receipt.Number
	sample   witness
	client   string
	host     string // that the scraper asked
	path     string // likewise, with the query
	began    time.Time
	elapsed  time.Duration // to write it
	timeout  time.Duration
	offer    *samples.Offer
	from, to uint64
	tally    samples.Tally
	over     []passedOver
	cursor   *samples.Cursor
	stop     func() // ends the pursuit of its receipt

	came    arrival // guarded by the line's mutex
	settled bool    // likewise
}

// arrival is what the connection says of a response.
type arrival int

const (
	unknown arrival = iota
	arrived
	cutOff // it was not written whole, or the client had gone
	unread // it was written whole, and the client has not read it
)

// prepare arranges what the next response holds: nothing where it is not settled what became
// of the one before.
func (l *line) prepare(r *http.Request, q request, now time.Time, settled bool) *response {
	s := l.s
	resp := &response{l: l, cursor: l.cursor, client: clientOf(r), host: r.Host, path: r.URL.RequestURI(), began: now, timeout: q.timeout}
	l.mu.Lock()
	most := l.pace.size
	l.mu.Unlock()
	until, choice := uint64(math.MaxUint64), s.choice(q, now)
	switch {
	case !settled:
		until = 0
	case l.trial != nil:
		resp.turn = l.trial.Next(now)
		l.setAside(resp.turn)
		resp.cursor, until, most = resp.turn.From, resp.turn.Until, min(most, resp.turn.Most)
		if admit := resp.turn.Admit; admit != nil {
			choice.Admit = func(id series.ID) arrange.Verdict { return arrange.Verdict(admit(id)) }
		}
	}
	choice.Most = most
	v, rank := s.store.Read(resp.cursor, until)
	l.mu.Lock()
	l.rank = rank
	l.mu.Unlock()
	a := bounded(v, rank, choice, q.maxBytes)
	resp.a, resp.from, resp.to, resp.tally = a, a.From, a.To, a.Tally
	resp.judged = trial.Response{Samples: a.Samples()}
	if l.asks() {
		resp.number = s.numbers.Next(now)
	}
	if resp.turn != nil {
		resp.over = l.passedOver(a, l.trial.Reason)
		resp.sample = witnessOf(a)
		for _, id := range rank.Order {
			if a.Holds(id) && resp.turn.Lists(id) {
				resp.judged.Listed = append(resp.judged.Listed, id)
			}
		}
	}
	s.store.Table().Touch(now, a.Holds)
	return resp
}

// bounded arranges as much as fits so many bytes of text, but one sample at least; 0 bounds
// nothing.
func bounded(v samples.View, rank *series.Ranking, choice arrange.Choice, bytes int64) *arrange.Arrangement {
	for {
		a := arrange.Arrange(v, rank, choice)
		if bytes == 0 || a.Samples() <= 1 {
			return a
		}
		size := render.TextBytes(a)
		if room := bytes * 7 / 8; size > room {
			choice.Most = max(1, min(a.Samples()-1, int(float64(a.Samples())*float64(room)/float64(size))))
			continue
		}
		return a
	}
}

// offered notes that a response is written, and has its receipt looked for.
func (l *line) offered(resp *response, elapsed time.Duration) {
	resp.a = nil
	resp.elapsed = elapsed
	resp.offer = l.s.store.Log.Offer(resp.cursor, resp.from, resp.to, resp.tally)
	l.mu.Lock()
	l.open = append(l.open, resp)
	l.mu.Unlock()
	l.pursue(resp)
}

// evidence takes down what the connection says of a response. It settles it where
// nobody else is to be asked.
func (l *line) evidence(resp *response, came arrival) {
	l.mu.Lock()
	resp.came = came
	asked := l.asks() && !l.receipts.missing
	l.mu.Unlock()
	switch {
	case asked:
	case came == arrived:
		l.taken(resp)
	default:
		l.gone(resp)
	}
}

// close settles a response, and says whether it was open.
func (l *line) close(resp *response) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if resp.settled {
		return false
	}
	resp.settled = true
	l.open = slices.DeleteFunc(l.open, func(o *response) bool { return o == resp })
	if resp.stop != nil {
		resp.stop()
	}
	return true
}

// taken settles a response whose scraper has it.
func (l *line) taken(resp *response) {
	if !l.close(resp) {
		return
	}
	l.mu.Lock()
	l.pace.took(resp.tally.Passed, resp.elapsed, resp.timeout)
	l.known, l.lost = resp.client, 0
	l.mu.Unlock()
	l.s.notes.again("unconfirmed " + l.name)
	if resp.turn != nil && !l.trial.Stored(resp.turn, resp.judged, time.Now()) {
		l.s.store.Log.Withdraw(resp.offer)
		return
	}
	l.s.moving.RLock()
	defer l.s.moving.RUnlock()
	if t, moved := l.s.store.Log.Take(resp.offer); moved {
		l.s.passed(l.name, t, resp.over)
		if without, is := l.s.store.Log.CaughtUp(l.scraper); is {
			l.s.cfg.Logger.Info("a scraper that was left behind has caught up; what it was left behind only others have",
				"cursor", l.name, "samples", int(without))
		}
	}
}

// unconfirmedRuns is how many responses running have to be lost before that is said.
const unconfirmedRuns = 3

// gone settles a response that its scraper has not got, as far as can be told.
func (l *line) gone(resp *response) {
	if !l.close(resp) {
		return
	}
	s := l.s
	s.Counts.Aborted.Add(1)
	s.Counts.LetGo.Add(uint64(s.store.Log.Withdraw(resp.offer)))
	l.mu.Lock()
	if resp.came == cutOff || resp.elapsed > resp.timeout {
		l.pace.cutOff(resp.tally.Passed)
		l.mu.Unlock()
		return
	}
	l.lost++
	lost := l.lost
	l.mu.Unlock()
	s.Counts.Unconfirmed.add(l.name, 1)
	if lost >= unconfirmedRuns && s.notes.first("unconfirmed "+l.name) {
		s.cfg.Logger.Warn("responses were written, and nothing tells that they arrived, so that the same samples come again and again; "+
			"scrape the hub directly over a connection that is kept, name the server with --scrape.server, or take with ?drain=1",
			"cursor", l.name, "scraper", resp.client, "running", lost)
	}
}
