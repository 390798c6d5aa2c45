package web

import (
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/render"
	"github.com/hubring/hubring/edgehub/internal/samples"
	"github.com/hubring/hubring/edgehub/internal/series"
	"github.com/hubring/hubring/edgehub/internal/trial"
)

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
	leftOut  arrange.LeftOut // what was written could not have it
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
	a := bounded(v, rank, choice, q.format, q.maxBytes)
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

// bounded arranges as much as fits so many bytes of a format, but one sample at least; 0
// bounds nothing.
func bounded(v samples.View, rank *series.Ranking, choice arrange.Choice, f render.Format, bytes int64) *arrange.Arrangement {
	for {
		a := arrange.Arrange(v, rank, choice)
		if bytes == 0 || a.Samples() <= 1 || choice.Most <= 1 {
			return a
		}
		size := f.Bytes(a)
		if room := bytes * 7 / 8; size > room {
			choice.Most = max(1, min(a.Samples()-1, choice.Most-1, int(float64(a.Samples())*float64(room)/float64(size))))
			continue
		}
		return a
	}
}

// offered notes that a response is written, and has its receipt looked for.
func (l *line) offered(resp *response, elapsed time.Duration) {
	resp.leftOut = resp.a.LeftOut
	resp.leftOut.Cut += resp.a.Cut()
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
		l.s.Counts.leftOut(resp.leftOut)
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
	if !l.asks() && lost >= unconfirmedRuns && s.notes.first("unconfirmed "+l.name) {
		s.cfg.Logger.Warn("responses were written, and nothing tells that they arrived, so that the same samples come again and again; "+
			"scrape the hub directly over a connection that is kept, name the server with --scrape.server, or take with ?drain=1",
			"cursor", l.name, "scraper", resp.client, "running", lost)
	}
}
