package exporter

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hubring/hubring/internal/verdict"
)

// ledger is the simulation's own account of every report: what the exporter was
// given, what it sent and what arrived. It notes whatever breaks a promise.
type ledger struct {
	mu       sync.Mutex
	began    time.Time
	events   []string
	broken   []string // promises, as sentences
	seen     map[string]int
	reports  []*report // by id
	gateways map[string]*gatewayBook
	hubs     map[string]map[string]*known // by hub and gateway

	taken, refused     int // samples of Submit, by what it returned
	invalid, gathered  int // samples that cannot be encoded; samples that Config.Gather gave
	sent               int // samples in requests of the exporter that runs now
	acked, rejected    int // samples
	arrivedAgain       int // samples that had arrived before
	requests, arrivals int
}

// report is one gateway's samples of one submission, which become one parcel. All
// its samples have its id as value, and as timestamp after firstTimestamp.
type report struct {
	id       int
	gateway  string
	samples  int
	text     string // the id
	label    string // what each line of it contains
	state    reportState
	flying   bool
	ghost    bool            // was in a request that ended without an answer: it may arrive at any time
	arrived  map[string]bool // by hub
	acked    bool
	ackedBy  string // which hub
	rejected bool
}

type reportState int

const (
	offered reportState = iota // Submit has not returned
	accepted
	declined
)

// gatewayBook is what is known of a gateway's order. Its reports are submitted one
// after the other, so their ids are their order.
type gatewayBook struct {
	settled int            // the latest that a hub answered for
	arrived int            // the latest that arrived anywhere
	at      map[string]int // the latest that arrived at a hub
	flying  int            // requests under way with something of it

	flyingTo string // the hub to which they are
	home     string // the hub that acknowledged the latest; empty for an exporter that began since

	family, last int // while a text is read: the latest report in the family of that number
}

// firstTimestamp is that of the report 0.
const firstTimestamp = 1_000_000_000_000

func newLedger() *ledger {
	return &ledger{began: time.Now(), seen: map[string]int{}, gateways: map[string]*gatewayBook{}, hubs: map[string]map[string]*known{}}
}

// breaks notes a promise that was broken.
func (l *ledger) breaks(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breaksLocked(format, args...)
}

func (l *ledger) breaksLocked(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); len(l.broken) < 5 {
		l.broken = append(l.broken, text)
		l.noteLocked("BROKEN: %s", text)
	}
}

// note adds an event to the log of a schedule.
func (l *ledger) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noteLocked(format, args...)
}

func (l *ledger) noteLocked(format string, args ...any) {
	l.events = append(l.events, fmt.Sprintf("%10s  ", time.Since(l.began).Round(time.Microsecond))+fmt.Sprintf(format, args...))
}

// reached counts a situation.
func (l *ledger) reached(situation string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[situation]++
}

func (l *ledger) reachedIf(yes bool, situation string) {
	if yes {
		l.reached(situation)
	}
}

// book returns what is known of a gateway.
func (l *ledger) bookLocked(gateway string) *gatewayBook {
	b := l.gateways[gateway]
	if b == nil {
		b = &gatewayBook{settled: -1, arrived: -1, at: map[string]int{}, family: -1}
		l.gateways[gateway] = b
	}
	return b
}

// offer makes a report that is about to be submitted.
func (l *ledger) offer(gateway string) *report {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &report{id: len(l.reports), gateway: gateway}
	r.text = strconv.Itoa(r.id)
	if gateway != "" {
		r.label = `gatewayID="` + gateway + `"`
	}
	l.reports = append(l.reports, r)
	return r
}

// settle notes what Submit returned for reports.
func (l *ledger) settle(reports []*report, state reportState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range reports {
		r.state = state
		if state == accepted {
			l.taken += r.samples
			continue
		}
		l.refused += r.samples
		if r.flying || len(r.arrived) > 0 || r.ghost {
			l.breaksLocked("report %d of %q was sent, and Submit took nothing in", r.id, r.gateway)
		}
	}
}

// read takes the text of a request apart. It returns its reports, each once and
// whole, in the order of their ids: a request is sorted by
// family, of which each has its own.
func (l *ledger) readLocked(text []byte) []*report {
	lines := map[*report]int{}
	var found []*report
	family := 0
	for _, b := range l.gateways {
		b.family = -1
	}
	for len(text) > 0 {
		end := bytes.IndexByte(text, '\n')
		if end < 0 {
			l.breaksLocked("a request ends with half a line: %q", text)
			return found
		}
		line := text[:end]
		text = text[end+1:]
		if line[0] == '#' {
			family++ // or its other line
			continue
		}
		r := l.reportOfLocked(line)
		if r == nil {
			continue
		}
		if lines[r]++; lines[r] == 1 {
			found = append(found, r)
		}
		b := l.bookLocked(r.gateway)
		if b.family == family && b.last > r.id {
			l.breaksLocked("in a request report %d of %q is before report %d", b.last, r.gateway, r.id)
		}
		b.family, b.last = family, r.id
	}
	for _, r := range found {
		if lines[r] != r.samples {
			l.breaksLocked("a request has %d samples of report %d of %q, which has %d", lines[r], r.id, r.gateway, r.samples)
		}
	}
	slices.SortFunc(found, func(a, b *report) int { return a.id - b.id })
	return found
}

// reportOfLocked returns the report that a line is of, or nil, which breaks a
// promise.
func (l *ledger) reportOfLocked(line []byte) *report {
	at := bytes.LastIndexByte(line, ' ')
	stamp, err := strconv.Atoi(string(line[at+1:]))
	id := stamp - firstTimestamp
	if err != nil || id < 0 || id >= len(l.reports) {
		l.breaksLocked("a sample was sent that nobody submitted: %s", line)
		return nil
	}
	r := l.reports[id]
	value := bytes.LastIndexByte(line[:at], ' ')
	whose := r.label != "" && bytes.Contains(line, []byte(r.label)) || r.label == "" && !bytes.Contains(line, []byte("gatewayID="))
	if string(line[value+1:at]) != r.text || !whose {
		l.breaksLocked("a sample of report %d of %q was changed: %s", r.id, r.gateway, line)
		return nil
	}
	if r.state == declined {
		l.breaksLocked("a sample was sent that Submit did not take in: %s", line)
	}
	return r
}

// depart notes that a request is about to be sent, and returns what is in it.
func (l *ledger) depart(hub string, text []byte, batchBytes int) []*report {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests++
	found := l.readLocked(text)
	if len(text) > batchBytes && len(found) > 1 {
		l.breaksLocked("a request of %d reports has %d bytes, and BatchBytes is %d", len(found), len(text), batchBytes)
	}
	if len(text) > batchBytes {
		l.seen["parcel beyond BatchBytes"]++
	}
	aboard := map[*gatewayBook]bool{}
	for _, r := range found {
		b := l.bookLocked(r.gateway)
		switch {
		case r.acked:
			l.breaksLocked("report %d of %q is sent, and a hub had acknowledged it", r.id, r.gateway)
		case r.rejected:
			l.breaksLocked("report %d of %q is sent, and a hub had rejected it", r.id, r.gateway)
		case r.id < b.settled:
			l.breaksLocked("report %d of %q is sent after report %d", r.id, r.gateway, b.settled)
		case b.flying > 0 && !aboard[b]:
			l.breaksLocked("two requests with reports of %q are under way, one with report %d", r.gateway, r.id)
		}
		if !aboard[b] {
			aboard[b] = true
			b.flying++
			b.flyingTo = hub
		}
		r.flying = true
		l.sent += r.samples
	}
	return found
}

// land notes how a request ended.
func (l *ledger) land(hub string, reports []*report, outcome verdict.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	landed := map[*gatewayBook]bool{}
	for _, r := range reports {
		b := l.bookLocked(r.gateway)
		if !landed[b] {
			landed[b] = true
			b.flying--
		}
		r.flying = false
		switch {
		case outcome == verdict.Delivered:
			r.acked, r.ackedBy = true, hub
			b.home = hub
			l.acked += r.samples
			if len(r.arrived) == 0 {
				l.breaksLocked("report %d of %q was acknowledged, and no hub took it in", r.id, r.gateway)
			}
		case outcome == verdict.Refused && len(reports) == 1:
			r.rejected = true
			l.rejected += r.samples
		case outcome == verdict.Cut: // no answer
			r.ghost = true
			continue
		default:
			continue
		}
		b.settled = max(b.settled, r.id)
	}
	if outcome == verdict.Refused && len(reports) > 1 {
		l.seen["halved"]++
	}
}

// killed notes that the exporter is no more. Its requests may arrive at any time.
func (l *ledger) killed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.reports {
		r.ghost = r.ghost || r.flying
		r.flying = false
	}
	for _, b := range l.gateways {
		b.flying = 0
	}
}

// arrive notes what a hub took in.
func (l *ledger) arrive(hub string, text []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.arrivals++
	for _, r := range l.readLocked(text) {
		b := l.bookLocked(r.gateway)
		if !r.flying && !r.ghost {
			l.breaksLocked("report %d of %q arrived at %s, and is in no request", r.id, r.gateway, hub)
		}
		if len(r.arrived) == 0 && r.id < b.arrived && !r.ghost {
			l.breaksLocked("report %d of %q arrived after report %d", r.id, r.gateway, b.arrived)
		}
		if last, ok := b.at[hub]; ok && !r.arrived[hub] && r.id < last && !r.ghost {
			l.breaksLocked("report %d of %q arrived at %s after report %d", r.id, r.gateway, hub, last)
		}
		if len(r.arrived) > 0 {
			l.arrivedAgain += r.samples
			l.seen["arrived again"]++
		}
		if r.arrived == nil {
			r.arrived = map[string]bool{}
		}
		r.arrived[hub] = true
		l.keepLocked(hub, r)
		b.arrived, b.at[hub] = max(b.arrived, r.id), max(b.at[hub], r.id)
	}
}

// openBefore returns how many accepted samples, of reports with lower ids, no hub
// has answered for.
func (l *ledger) openBefore(id int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := 0
	for _, r := range l.reports[:id] {
		if r.state == accepted && !r.acked && !r.rejected {
			open += r.samples
		}
	}
	return open
}

// answered reports whether hubs acknowledged all of the reports, or rejected any.
func (l *ledger) answered(reports []*report) (all, anyRejected bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all = true
	for _, r := range reports {
		all = all && r.acked
		anyRejected = anyRejected || r.rejected
	}
	return all, anyRejected
}

// next is the id of the next report.
func (l *ledger) next() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.reports)
}

// faults returns what was broken, with all that happened before it.
func (l *ledger) faults() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.broken) == 0 {
		return ""
	}
	return strings.Join(l.broken, "\n") + "\n\n" + strings.Join(l.events, "\n")
}

// coverage counts situations over all schedules.
type coverage struct {
	mu     sync.Mutex
	counts map[string]int
	runs   map[string]int
}

func (c *coverage) add(seen map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for what, n := range seen {
		c.counts[what] += n
		c.runs[what]++
	}
}

func (c *coverage) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "%-32s %9s %10s\n", "situation", "schedules", "times")
	for _, what := range slices.Sorted(maps.Keys(c.counts)) {
		fmt.Fprintf(&b, "%-32s %9d %10d\n", what, c.runs[what], c.counts[what])
	}
	return b.String()
}

// lockedRand is a source of random numbers that several goroutines use.
type lockedRand struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func (l *lockedRand) int64N(n int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rnd.Int64N(n)
}
