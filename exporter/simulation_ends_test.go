package exporter

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/internal/queue"
)

// What hubs know of gateways, as edgehub does, and what they are told of those that left.

// known is what a hub has of a gateway.
type known struct {
	last    int64 // time of the latest sample
	ended   bool
	marker  int64 // where, if it ended
	excused bool  // the exporter cannot know that there is something to be told
	telling int   // requests that say that it left, and that somebody waits for
	late    bool  // ended by one that had been given up: until its next samples
}

// knownLocked returns what a hub has of a gateway, nil if it has nothing.
func (l *ledger) knownLocked(hub, gateway string) *known { return l.hubs[hub][gateway] }

// keepLocked notes that a hub took a report in.
func (l *ledger) keepLocked(hub string, r *report) {
	if l.hubs[hub] == nil {
		l.hubs[hub] = map[string]*known{}
	}
	k := l.hubs[hub][r.gateway]
	if k == nil {
		k = &known{}
		l.hubs[hub][r.gateway] = k
	}
	if at := firstTimestamp + int64(r.id); !k.ended || at > k.marker {
		k.last, k.ended, k.late = max(k.last, at), false, false
	}
	if !r.flying { // nobody expects it any more
		k.excused = true
		l.seen["arrived after it was given up"]++
	}
}

// end notes what a hub was told.
func (l *ledger) end(hub string, ends []exportertest.End) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range ends {
		if k := l.knownLocked(hub, e.Gateway); k != nil && !k.ended {
			k.ended, k.marker = true, max(e.Timestamp-1, k.last+1)
			if k.late = k.telling == 0; k.late {
				l.seen["told after it was given up"]++
			}
			l.noteLocked("%s ends %q at %d", hub, e.Gateway, k.marker-firstTimestamp)
		}
	}
}

// lost notes that a hub has forgotten all.
func (l *ledger) lost(hub string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.hubs, hub)
}

// excuse notes that an exporter begins, which knows nothing of before.
func (l *ledger) excuse() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, gateways := range l.hubs {
		for _, k := range gateways {
			k.excused = true
		}
	}
	for _, b := range l.gateways {
		b.home = ""
	}
}

// tells checks what an exporter is about to tell a hub: it is true now, and the time is
// that of a sample that another hub acknowledged.
func (l *ledger) tells(hub string, lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := 0
	for line := range bytes.Lines(lines) {
		count++
		id, stamp, _ := bytes.Cut(bytes.TrimSuffix(line, []byte{'\n'}), []byte{' '})
		gateway, err := url.QueryUnescape(string(id))
		at, err2 := strconv.Atoi(string(stamp))
		at -= firstTimestamp
		if err != nil || err2 != nil || at < 0 || at >= len(l.reports) {
			l.breaksLocked("%s is told %q", hub, line)
			continue
		}
		if k := l.knownLocked(hub, gateway); k != nil {
			k.telling++
		}
		b, r := l.bookLocked(gateway), l.reports[at]
		switch {
		case b.home == hub:
			l.breaksLocked("%s is told that %q left it, and acknowledged its latest samples", hub, gateway)
		case b.flying > 0 && b.flyingTo == hub:
			l.breaksLocked("%s is told that %q left it, and samples of it are under way there", hub, gateway)
		case r.gateway != gateway || !r.acked || r.ackedBy == hub:
			l.breaksLocked("%s is told that %q left it at report %d, which no other hub has acknowledged", hub, gateway, at)
		}
	}
	l.seen["hub told"]++
	if count == 0 || count > 2000 || len(lines) > 1<<20 {
		l.breaksLocked("%s is told of %d gateways in %d bytes", hub, count, len(lines))
	}
}

// told notes that nobody waits any more for a hub to hear these lines. It may hear them still.
func (l *ledger) told(hub string, lines []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range bytes.Lines(lines) {
		id, _, _ := bytes.Cut(line, []byte{' '})
		gateway, _ := url.QueryUnescape(string(id))                      // tells has seen to it
		if k := l.knownLocked(hub, gateway); k != nil && k.telling > 0 { // or the hub has forgotten all since
			k.telling--
		}
	}
}

// checkEnds checks, when all is over and well, that each gateway goes on at the hub that has
// its newest samples, and has ended at all others. It does not check that last thing if
// the exporter says that a hub could not be told.
func (l *ledger) checkEnds(allTold bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for hub, gateways := range l.hubs {
		for gateway, k := range gateways {
			home := l.bookLocked(gateway).home
			switch {
			case home == "" || k.excused:
			case home == hub && k.ended && !k.late:
				l.breaksLocked("%q is at %s, and has ended there", gateway, hub)
			case home != hub && !k.ended && allTold:
				l.breaksLocked("%q is at %s, and has not ended at %s", gateway, home, hub)
			case home != hub && k.ended:
				l.seen["ended where it left"]++
			}
		}
	}
}

// checkEnds checks the last account of ends.
func (s *schedule) checkEnds(now queue.Snapshot) {
	fates := &now.Ends.Fates
	for fate := range queue.EndFate(len(fates)) {
		s.ledger.reachedIf(fates[fate] > 0, "end "+fate.String())
	}
	if now.Ends.Waiting > 0 {
		s.ledger.breaks("Run has ended, and %d ends wait", now.Ends.Waiting)
	}
	s.ledger.checkEnds(fates[queue.EndDropped]+fates[queue.EndUnsupported] == 0)
}

// deafen makes a hub fail to be told.
func (s *schedule) deafen(name string) {
	rnd, hub := s.rnd, s.net.hubs[name]
	var r exportertest.Reply
	switch rnd.IntN(8) {
	case 0:
		r.Status = http.StatusNotFound
	case 1:
		r.Hang = true
	case 2:
		r.Lost = true
	case 3:
		r.CutAfter = rnd.IntN(100) - 1
	case 4:
		r.Kept, r.Status = true, http.StatusGatewayTimeout
	case 5:
		r.Delay = time.Duration(rnd.IntN(4000)) * time.Millisecond
	case 6:
		r.Status = http.StatusServiceUnavailable
	case 7: // it is well
	}
	s.ledger.note("%s: when it is told of ends: %+v", name, r)
	s.ledger.reached("ends fail")
	hub.Ended(r)
}

// tellEnds carries a request of ends.
func (w *watchedTransport) tellEnds(req *http.Request) (*http.Response, error) {
	host := req.URL.Hostname()
	body, err := req.GetBody()
	if err != nil {
		panic(err)
	}
	lines, err := io.ReadAll(body)
	if err != nil {
		panic(err)
	}
	w.ledger.tells(host, lines)
	resp, err := w.inner.RoundTrip(req)
	w.ledger.told(host, lines)
	answer := fmt.Sprint(err)
	if err == nil {
		answer = strconv.Itoa(resp.StatusCode)
	}
	w.ledger.note("%s is told of %d ends, %s", host, bytes.Count(lines, []byte{'\n'}), answer)
	return resp, err
}
