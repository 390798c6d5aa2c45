package web

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hubring/hubring/edgehub/internal/arrange"
	"github.com/hubring/hubring/edgehub/internal/receipt"
	"github.com/hubring/hubring/edgehub/internal/render"
)

// receipts is what a line knows of its server's. The line's mutex guards it.
type receipts struct {
	seen    bool             // one, ever
	missing bool             // though samples are stored; the connection has to do
	asked   time.Time        // when it was last looked for one while they are missing
	judged  []receipt.Number // of responses that were found not to be stored, the last few
	late    int              // of those, how many were stored after all, since one was found in time
	failing time.Time        // since when the server cannot be asked; zero while it can
}

// maxJudged is how many responses that were found not to be stored are remembered: if some
// of them turn up after all, and none is found in time, receipts come too late to go by.
const maxJudged = 8

// lateRuns is how many that is. One may be late where all others are not: a hub that was halted hears
// requests that were given up, and takes them for its scraper's next ones. The connection knows less than receipts
// that come late once; until it decides samples may come twice, and none is lost.
const lateRuns = 3

const (
	askTime      = time.Second     // for a question while a scraper waits
	pursuitTime  = 2 * time.Minute // after which nobody asks for a response any more
	missingEvery = time.Minute     // receipts that are missing are looked for so often
	patience     = time.Minute     // for so long a server that cannot be asked is waited for
	sharedSpan   = 5 * time.Minute // for so long nothing is judged after two scrapers were seen on a line
)

var queryResults = []string{"stored", "missing", "failed"}

// receiptOf is the last sample of a response, and says what it is.
func (l *line) receiptOf(n receipt.Number) *render.Own {
	own := render.Own{
		Name: receipt.Name, Value: float64(n),
		Help: "The number of the last response of a hub that was stored; the hub reads it to know.",
	}
	labels := l.labels()
	for _, label := range [][2]string{{"cursor", labels.Cursor}, {"part", labels.Part}} {
		if label[1] != "" {
			own.Labels = append(own.Labels, label)
		}
	}
	return &own
}

// witness is one pushed sample of a response. If it is stored and the receipt is not,
// receipts are dropped on their way.
type witness struct {
	selector string
	time     int64
	value    float64
}

func witnessOf(a *arrange.Arrangement) witness {
	for _, id := range a.Rank.Order {
		if !a.Holds(id) {
			continue
		}
		if p, is := a.Last(id); is { // nobody can ask for a marker
			return witness{a.Rank.Text(id), p.Time, p.Value}
		}
	}
	return witness{}
}

// pursue asks for a response's receipt until it is there, or the next scrape settles it.
func (l *line) pursue(resp *response) {
	if !l.asks() {
		return
	}
	ctx, stop := context.WithTimeout(l.s.ctx, pursuitTime)
	l.mu.Lock()
	resp.stop = stop
	missing := l.receipts.missing
	l.mu.Unlock()
	if missing {
		return
	}
	written := time.Now()
	l.s.pursuits.Go(func() {
		defer stop()
		result, err := l.asker.Pursue(ctx, l.labels(), resp.number, written)
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // settled by somebody else, who asks himself
		case result == receipt.Stored:
			l.answered("stored", nil)
			l.sawReceipt()
			l.late(nil, true)
			l.taken(resp)
		case result == receipt.Failed:
			l.answered("failed", err)
			l.unasked(resp, err)
		default:
			l.expired(resp)
		}
	})
}

// expired settles a response for which nobody came again in all the time of its pursuit.
func (l *line) expired(resp *response) {
	l.mu.Lock()
	open := !resp.settled
	l.mu.Unlock()
	if open {
		l.answered("missing", nil)
		l.gone(resp)
	}
}

// answered counts a question, and says when the server begins and ceases to answer.
func (l *line) answered(result string, err error) {
	l.s.Counts.Queries.add(l.name+"\x00"+result, 1)
	l.mu.Lock()
	was := !l.receipts.failing.IsZero()
	switch {
	case result != "failed":
		l.receipts.failing = time.Time{}
	case !was:
		l.receipts.failing = time.Now()
	}
	l.mu.Unlock()
	switch {
	case result == "failed" && !was:
		l.s.cfg.Logger.Warn("the server of a cursor cannot be asked what it has stored; it gets nothing more for a minute, and if that does not help its connection has to do",
			"cursor", l.name, "server", l.asker, "error", err)
	case result != "failed" && was:
		l.s.cfg.Logger.Info("the server of a cursor answers again", "cursor", l.name)
	}
}

// patient says whether a server that cannot be asked is still waited for. What it was given
// last may or may not be stored; neither to give it again nor to give it up is right.
func (l *line) patient() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Since(l.receipts.failing) < patience
}

func (l *line) sawReceipt() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.receipts.seen = true
}

func (l *line) receiptsMissing() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.receipts.missing
}

// unasked settles a response by what its connection says, since the server cannot be
// asked. Where the connection says nothing yet, its word is waited for.
func (l *line) unasked(resp *response, err error) {
	if errors.Is(err, receipt.ErrNoQueries) {
		l.miss("the server takes no queries: "+err.Error(), resp)
		return
	}
	l.byConnection(resp)
}

func (l *line) byConnection(resp *response) {
	l.mu.Lock()
	came := resp.came
	l.mu.Unlock()
	switch came {
	case unknown:
	case arrived:
		l.taken(resp)
	default:
		l.gone(resp)
	}
}

// miss begins to go by connections, since receipts do not arrive.
func (l *line) miss(why string, resp *response) {
	l.mu.Lock()
	began := !l.receipts.missing
	l.receipts.missing, l.receipts.asked = true, time.Now()
	l.mu.Unlock()
	if began {
		l.s.cfg.Logger.Warn("receipts of a cursor do not arrive although its samples do; until they do, its connection has to do",
			"cursor", l.name, "why", why)
	}
	l.byConnection(resp)
}

// settle settles what is open when the next scrape comes. It returns false where that is
// put off, since the server cannot be asked just now.
func (l *line) settle(timeout time.Duration, client string) (settled bool) {
	if !l.asks() {
		return true
	}
	ctx, cancel := context.WithTimeout(l.s.ctx, min(askTime, timeout/2))
	defer cancel()
	l.mu.Lock()
	open, missing := slices.Clone(l.open), l.receipts.missing
	look := missing && time.Since(l.receipts.asked) > missingEvery
	if look {
		l.receipts.asked = time.Now()
	}
	l.mu.Unlock()
	if look {
		l.lookAgain(ctx)
	}
	settled = true
	for _, resp := range open {
		if missing {
			l.byConnection(resp)
		} else if !l.judge(ctx, resp, client) {
			settled = false
		}
	}
	return settled
}

// lookAgain looks whether receipts arrive again.
func (l *line) lookAgain(ctx context.Context) {
	numbers, err := l.asker.Seen(ctx, l.labels(), time.Now().Add(-missingEvery))
	if err != nil || len(numbers) == 0 {
		return
	}
	l.mu.Lock()
	l.receipts.missing, l.receipts.seen, l.receipts.judged, l.receipts.late = false, true, nil, 0
	l.mu.Unlock()
	l.s.cfg.Logger.Info("receipts of a cursor arrive again", "cursor", l.name)
}

// judge settles a response by what its server has, a last time: its scraper is here
// again. It returns false where the server cannot be asked just now.
func (l *line) judge(ctx context.Context, resp *response, client string) bool {
	l.mu.Lock()
	if resp.stop != nil && resp.client == client {
		resp.stop()
	}
	l.mu.Unlock()
	numbers, err := l.asker.Seen(ctx, l.labels(), resp.began.Add(-time.Minute))
	if err != nil {
		l.answered("failed", err)
		if !errors.Is(err, receipt.ErrNoQueries) && l.patient() {
			l.pursue(resp)
			return false
		}
		l.unasked(resp, err)
		return true
	}
	l.decide(ctx, resp, client, numbers)
	return true
}

// decide settles a response whose server has these receipts.
func (l *line) decide(ctx context.Context, resp *response, client string, numbers []receipt.Number) {
	if len(numbers) > 0 {
		l.sawReceipt()
	}
	_, stored := slices.BinarySearch(numbers, resp.number)
	late := l.late(numbers, stored)
	if stored {
		l.answered("stored", nil)
		l.taken(resp)
		return
	}
	l.mu.Lock()
	came, seen := resp.came, l.receipts.seen
	shared := time.Since(l.shared) < sharedSpan
	l.mu.Unlock()
	switch {
	case late >= lateRuns:
		l.miss(fmt.Sprintf("they arrive too late: %d running were found a scrape after they were missed", late), resp)
	case came == unknown && resp.client != client:
		// Somebody else's: the pursuit goes on.
	case came == cutOff || came == unread:
		l.answered("missing", nil)
		l.gone(resp)
	case shared:
		// It may have gone to somebody whom nobody asks, which says nothing against a series.
		l.answered("missing", nil)
		l.gone(resp)
	case !seen && l.witnessed(ctx, resp):
		l.miss("the server has the samples of a response and not its receipt; does a relabelling drop "+receipt.Name+"?", resp)
	default:
		l.answered("missing", nil)
		l.refused(ctx, resp)
	}
}

// late returns how many responses running were found to be stored only after they had been missed. One that is
// stored in time ends that.
func (l *line) late(numbers []receipt.Number, inTime bool) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := len(l.receipts.judged)
	l.receipts.judged = slices.DeleteFunc(l.receipts.judged, func(n receipt.Number) bool { _, is := slices.BinarySearch(numbers, n); return is })
	l.receipts.late += before - len(l.receipts.judged)
	if inTime {
		l.receipts.late = 0
	}
	return l.receipts.late
}

// witnessed says whether a pushed sample of a response is stored.
func (l *line) witnessed(ctx context.Context, resp *response) bool {
	if resp.sample.selector == "" {
		return false
	}
	has, err := l.asker.Has(ctx, resp.sample.selector, resp.sample.time, resp.sample.value)
	return err == nil && has
}
