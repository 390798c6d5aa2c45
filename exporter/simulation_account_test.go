package exporter

import (
	"errors"

	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/internal/reason"
)

// check checks all that must hold at any time.
func (s *schedule) check() {
	for _, fault := range s.e.queue.Faults() {
		s.ledger.breaks("queue: %s", fault)
	}
	now := s.now()
	a := &now.Account
	if now.MemoryBytes > s.cfg.MaxQueueBytes {
		s.ledger.breaks("%d bytes are queued, and MaxQueueBytes is %d", now.MemoryBytes, s.cfg.MaxQueueBytes)
	}
	sent, deliveredNow, rerouted := 0, 0, 0
	for _, h := range a.Hubs {
		sent, deliveredNow, rerouted = sent+int(h.Sent), deliveredNow+int(h.Delivered), rerouted+int(h.Rerouted)
	}
	after := 0
	for why := reason.Rejected400; why < reason.Num; why++ {
		after += int(a.Dropped[why])
	}
	if in, out := int(a.Submitted+a.Restored), deliveredNow+after+now.Samples+now.SpoolSamples; in != out {
		s.ledger.breaks("%d samples came in, and %d are accounted for: %d delivered, %d dropped, %d in memory, %d on disk",
			in, out, deliveredNow, after, now.Samples, now.SpoolSamples)
	}
	s.compare(now, sent, deliveredNow)
	down := 0
	for _, h := range now.Hubs {
		s.ledger.reachedIf(h.State == queue.HubCatchingUp, "hub catching up")
		if h.State == queue.HubDown {
			down++
		}
	}
	s.ledger.reachedIf(rerouted > 0, "failover")
	s.ledger.reachedIf(down > 0 && down == len(now.Hubs), "all hubs down")
	s.ledger.reachedIf(a.Spilled > 0, "spilled")
	if s.rnd.IntN(8) == 0 {
		s.scrape()
	}
	s.fatal()
}

// compare holds the exporter's account against the ledger.
func (s *schedule) compare(now queue.Snapshot, sent, deliveredNow int) {
	l, before := s.ledger, &s.earlier.Account
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &now.Account
	submitted := int(a.Submitted + before.Submitted)
	gathered := l.gathered - int(notTaken(a)+notTaken(before)) - int(a.Dropped[reason.Closed]+before.Dropped[reason.Closed]) -
		int(a.Dropped[reason.Cancelled]+before.Dropped[reason.Cancelled]) + l.refused
	if submitted != l.taken+gathered {
		l.breaksLocked("%d samples were taken in, and the account says %d", l.taken+gathered, submitted)
	}
	if sent != l.sent {
		l.breaksLocked("%d samples were sent, and the account says %d", l.sent, sent)
	}
	deliveredBefore := 0
	for _, h := range before.Hubs {
		deliveredBefore += int(h.Delivered)
	}
	if deliveredNow+deliveredBefore != l.acked {
		l.breaksLocked("hubs acknowledged %d samples, and the account says %d", l.acked, deliveredNow+deliveredBefore)
	}
	rejected, invalid := 0, 0
	for why := range reason.Num {
		n := int(a.Dropped[why] + before.Dropped[why])
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
func notTaken(a *queue.Account) uint64 {
	return a.Dropped[reason.NotKept] + a.Dropped[reason.QueueFull] + a.Dropped[reason.HubShare] + a.Dropped[reason.GatewayShare]
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
	if now.Age > s.cfg.BatchWait || len(s.cfg.Gather) == 0 && now.Samples+now.SpoolSamples > 0 {
		s.ledger.breaks("all hubs are well, and of %s %d samples are queued, %d on disk, the oldest for %s", what, now.Samples, now.SpoolSamples, now.Age)
	}
}

// leftOver checks what Run returned.
func (s *schedule) leftOver(err error, now queue.Snapshot, recovered bool) {
	var left *UndeliveredError
	undelivered := int(now.Account.Dropped[reason.Undelivered])
	switch {
	case now.Samples > 0:
		s.ledger.breaks("Run has ended, and %d samples are queued", now.Samples)
	case err == nil && undelivered > 0, errors.As(err, &left) && left.Samples != undelivered:
		s.ledger.breaks("%d samples were not delivered, and Run says %v", undelivered, err)
	case err != nil && left == nil:
		s.ledger.breaks("Run: %v", err)
	case left != nil && left.Kept != now.SpoolSamples:
		s.ledger.breaks("%d samples are in SpoolDir, and Run says %d", now.SpoolSamples, left.Kept)
	case recovered && (err != nil || now.SpoolSamples > 0):
		s.ledger.breaks("all hubs are well, and Run leaves %d samples on disk and says %v", now.SpoolSamples, err)
	case undelivered > 0 && s.cfg.SpoolPolicy == SpoolAll:
		s.ledger.breaks("all is on disk, and Run says %v", err)
	case undelivered > 0 && s.cfg.SpoolBytes == plentyOfSpool && s.disk.isWell():
		s.ledger.breaks("SpoolDir has room, and Run says %v", err)
	}
	if open := s.ledger.openBefore(s.ledger.next()); recovered && open > s.dropped(now) {
		s.ledger.breaks("no hub has answered for %d samples, and %d are dropped", open, s.dropped(now))
	}
}

// dropped counts the accepted samples that were dropped without a hub's word.
func (s *schedule) dropped(now queue.Snapshot) int {
	n := 0
	for why := reason.Rejected429; why < reason.Num; why++ {
		n += int(now.Account.Dropped[why] + s.earlier.Account.Dropped[why])
	}
	return n
}

// carryOver adds an exporter that has ended to those before.
func (s *schedule) carryOver(now queue.Snapshot) {
	e := &s.earlier
	e.SpoolSamples = now.SpoolSamples
	e.Account.Submitted += now.Account.Submitted
	for why := range reason.Num {
		e.Account.Dropped[why] += now.Account.Dropped[why]
	}
	if e.Account.Hubs == nil {
		e.Account.Hubs = map[string]*queue.HubAccount{}
	}
	for name, h := range now.Account.Hubs {
		if e.Account.Hubs[name] == nil {
			e.Account.Hubs[name] = &queue.HubAccount{}
		}
		e.Account.Hubs[name].Delivered += h.Delivered
	}
}
