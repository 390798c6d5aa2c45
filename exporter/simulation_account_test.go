package exporter

import (
	"errors"

	"github.com/hubring/hubring/exporter/internal/reason"
)

// check checks all that must hold at any time.
func (s *schedule) check() {
	for _, fault := range s.e.router.faults() {
		s.ledger.breaks("router: %s", fault)
	}
	now := s.now()
	a := &now.account
	if now.memoryBytes > s.cfg.MaxQueueBytes {
		s.ledger.breaks("%d bytes are queued, and MaxQueueBytes is %d", now.memoryBytes, s.cfg.MaxQueueBytes)
	}
	sent, deliveredNow, rerouted := 0, 0, 0
	for _, h := range a.hubs {
		sent, deliveredNow, rerouted = sent+int(h.sent), deliveredNow+int(h.delivered), rerouted+int(h.rerouted)
	}
	after := 0
	for why := reason.Rejected400; why < reason.Num; why++ {
		after += int(a.dropped[why])
	}
	if in, out := int(a.submitted+a.restored), deliveredNow+after+now.samples+now.spoolSamples; in != out {
		s.ledger.breaks("%d samples came in, and %d are accounted for: %d delivered, %d dropped, %d in memory, %d on disk",
			in, out, deliveredNow, after, now.samples, now.spoolSamples)
	}
	s.compare(now, sent, deliveredNow)
	down := 0
	for _, h := range now.hubs {
		s.ledger.reachedIf(h.state == hubCatchingUp, "hub catching up")
		if h.state == hubDown {
			down++
		}
	}
	s.ledger.reachedIf(rerouted > 0, "failover")
	s.ledger.reachedIf(down > 0 && down == len(now.hubs), "all hubs down")
	s.ledger.reachedIf(a.spilled > 0, "spilled")
	if s.rnd.IntN(8) == 0 {
		s.scrape()
	}
	s.fatal()
}

// compare holds the exporter's account against the ledger.
func (s *schedule) compare(now snapshot, sent, deliveredNow int) {
	l, before := s.ledger, &s.earlier.account
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &now.account
	submitted := int(a.submitted + before.submitted)
	gathered := l.gathered - int(notTaken(a)+notTaken(before)) - int(a.dropped[reason.Closed]+before.dropped[reason.Closed]) -
		int(a.dropped[reason.Cancelled]+before.dropped[reason.Cancelled]) + l.refused
	if submitted != l.taken+gathered {
		l.breaksLocked("%d samples were taken in, and the account says %d", l.taken+gathered, submitted)
	}
	if sent != l.sent {
		l.breaksLocked("%d samples were sent, and the account says %d", l.sent, sent)
	}
	deliveredBefore := 0
	for _, h := range before.hubs {
		deliveredBefore += int(h.delivered)
	}
	if deliveredNow+deliveredBefore != l.acked {
		l.breaksLocked("hubs acknowledged %d samples, and the account says %d", l.acked, deliveredNow+deliveredBefore)
	}
	rejected, invalid := 0, 0
	for why := range reason.Num {
		n := int(a.dropped[why] + before.dropped[why])
		switch {
		case why >= reason.Rejected400 && why <= reason.Rejected422:
			rejected += n
		case why < reason.QueueFull:
			invalid += n
		case why == reason.Overflow && s.cfg.Overflow == RefuseNew && n > 0, why == reason.SpoolDamaged && n > 0:
			l.breaksLocked("%d samples are dropped as %s", n, why)
		}
		if n > 0 {
			l.seen["dropped: "+why.String()] = 1
		}
	}
	if rejected != l.rejected {
		l.breaksLocked("hubs rejected %d samples, and the account says %d", l.rejected, rejected)
	}
	if invalid != l.invalid {
		l.breaksLocked("%d samples were invalid, and the account says %d", l.invalid, invalid)
	}
}

// notTaken returns how many samples found no room.
func notTaken(a *account) uint64 {
	return a.dropped[reason.QueueFull] + a.dropped[reason.HubShare] + a.dropped[reason.GatewayShare]
}

// scrape checks that the metrics say the same.
func (s *schedule) scrape() {
	families, err := s.reg.Gather()
	if err != nil {
		s.ledger.breaks("scrape: %v", err)
		return
	}
	in := countIn(families, "samples_submitted_total") + countIn(families, "samples_restored_total")
	out := countIn(families, "samples_delivered_total") + countIn(families, "queue_samples") +
		countIn(families, "samples_dropped_total", "rejected_400", "rejected_413", "rejected_422", "rejected_429", "queue_overflow", "spool_damaged", "undelivered")
	if in != out {
		s.ledger.breaks("a scrape says that %d samples came in, and accounts for %d", in, out)
	}
	if bytes := countIn(families, "queue_bytes"); bytes > s.cfg.MaxQueueBytes {
		s.ledger.breaks("a scrape says that %d bytes are queued, and MaxQueueBytes is %d", bytes, s.cfg.MaxQueueBytes)
	}
}

// delivered checks that hubs acknowledged the reports, if they were taken in.
func (s *schedule) delivered(reports []*report) {
	if all, _ := s.ledger.answered(reports); !all && reports[0].state == accepted {
		s.ledger.breaks("all hubs are well, and reports %s are not delivered", ids(reports))
	}
}

// prompt checks that nothing waits longer than it may.
func (s *schedule) prompt(what string) {
	now := s.now()
	if now.age > s.cfg.BatchWait || len(s.cfg.Gather) == 0 && now.samples+now.spoolSamples > 0 {
		s.ledger.breaks("all hubs are well, and of %s %d samples are queued, %d on disk, the oldest for %s", what, now.samples, now.spoolSamples, now.age)
	}
}

// leftOver checks what Run returned.
func (s *schedule) leftOver(err error, now snapshot, recovered bool) {
	var left *UndeliveredError
	undelivered := int(now.account.dropped[reason.Undelivered])
	switch {
	case now.samples > 0:
		s.ledger.breaks("Run has ended, and %d samples are queued", now.samples)
	case err == nil && undelivered > 0, errors.As(err, &left) && left.Samples != undelivered:
		s.ledger.breaks("%d samples were not delivered, and Run says %v", undelivered, err)
	case err != nil && left == nil:
		s.ledger.breaks("Run: %v", err)
	case left != nil && left.Kept != now.spoolSamples:
		s.ledger.breaks("%d samples are in SpoolDir, and Run says %d", now.spoolSamples, left.Kept)
	case recovered && (err != nil || now.spoolSamples > 0):
		s.ledger.breaks("all hubs are well, and Run leaves %d samples on disk and says %v", now.spoolSamples, err)
	case undelivered > 0 && s.cfg.SpoolBytes == plentyOfSpool && s.disk.isWell():
		s.ledger.breaks("SpoolDir has room, and Run says %v", err)
	}
	if open := s.ledger.openBefore(s.ledger.next()); recovered && open > s.dropped(now) {
		s.ledger.breaks("no hub has answered for %d samples, and %d are dropped", open, s.dropped(now))
	}
}

// dropped counts the accepted samples that were dropped without a hub's word.
func (s *schedule) dropped(now snapshot) int {
	n := 0
	for why := reason.Rejected429; why < reason.Num; why++ {
		n += int(now.account.dropped[why] + s.earlier.account.dropped[why])
	}
	return n
}

// carryOver adds an exporter that has ended to those before.
func (s *schedule) carryOver(now snapshot) {
	e := &s.earlier
	e.spoolSamples = now.spoolSamples
	e.account.submitted += now.account.submitted
	for why := range reason.Num {
		e.account.dropped[why] += now.account.dropped[why]
	}
	if e.account.hubs == nil {
		e.account.hubs = map[string]*hubAccount{}
	}
	for name, h := range now.account.hubs {
		if e.account.hubs[name] == nil {
			e.account.hubs[name] = &hubAccount{}
		}
		e.account.hubs[name].delivered += h.delivered
	}
}
