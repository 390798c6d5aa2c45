package exporter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/exportertest"
)

var (
	seed      = flag.Uint64("seed", 0, "run the simulation with this seed only")
	schedules = flag.Int("schedules", 200, "how many random schedules the simulation runs")
)

// The whole exporter against hubs that fail in every way we know of, in virtual
// time, over net/http's own client. A schedule is a seed: it decides the config, the
// fleet, what is submitted and what happens to the hubs. Whatever that is: every
// sample that was taken in is acknowledged by a hub, or counted as dropped, or
// queued; each gateway's samples arrive in order; the bounds hold.
//
//	go test ./exporter -run Simulation -schedules=10000 -v
//	go test ./exporter -run Simulation -seed=42
//
// A seed decides everything but which of two goroutines that are ready goes first.
// A fault that hangs on this may need several runs with its seed (-count=20).
func TestSimulation(t *testing.T) {
	total := &coverage{counts: map[string]int{}, runs: map[string]int{}}
	before := os.Getenv("GODEBUG")
	_ = os.Setenv("GODEBUG", before+",tracebacklabels=1") // t.Setenv is not for tests side by side
	defer os.Setenv("GODEBUG", before)
	if *seed != 0 {
		bubble(t, *seed, total)
		t.Log("\n" + total.String())
		return
	}
	n, workers := *schedules, runtime.GOMAXPROCS(0)
	if testing.Short() {
		n = min(n, 30)
	}
	began := time.Now()
	t.Run("all", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprintf("worker=%d", w), func(t *testing.T) {
				t.Parallel()
				for s := w + 1; s <= n && !t.Failed(); s += workers {
					t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) { bubble(t, uint64(s), total) })
				}
			})
		}
	})
	t.Logf("%d schedules in %s reached:\n%s", n, time.Since(began).Round(time.Millisecond), total)
	if n < fullRun || t.Failed() {
		return
	}
	for _, situation := range situations {
		if total.counts[situation] == 0 {
			t.Errorf("no schedule reached: %s", situation)
		}
	}
}

// fullRun is how many schedules have to reach every situation.
const fullRun = 2000

var situations = []string{
	"kill", "start", "freeze", "thaw", "name gone", "slow", "hang", "lost acknowledgement", "cut body", "kept and failed",
	"answer 200", "answer 302", "answer 400", "answer 413", "answer 415", "answer 422", "answer 429", "answer 500", "answer 503", "no answer",
	"poison", "gateway refused by its hub", "halved", "gzip", "gzip taken back", "arrived again", "parcel beyond BatchBytes",
	"hub alive again", "probe failed", "hub catching up", "failover", "all hubs down",
	"dropped: rejected_400", "dropped: rejected_413", "dropped: rejected_422", "dropped: rejected_429", "dropped: queue_overflow",
	"dropped: undelivered", "dropped: queue_full", "queue full", "submitted too late", "invalid samples", "gathered", "submits side by side",
	"push acknowledged", "push rejected", "push dropped", "push gave up", "flush ended", "flush gave up", "flush closed",
	"spilled", "restarted", "restored", "ended in an outage", "ended with all delivered", "recovered",
	"members changed", "lie: an error", "lie: nobody", "lie: one is missing", "lie: a stray one", "lie: another address", "lie: one twice", "lie: no answer",
}

// maxHubs bounds how many rings there are.
const maxHubs = 5

// plentyOfSpool is more than a schedule can fill.
const plentyOfSpool = 1 << 30

// schedule is one run of the simulation.
type schedule struct {
	t      *testing.T
	seed   uint64
	rnd    *rand.Rand // of the schedule's own goroutine
	ledger *ledger
	net    *network
	cfg    Config
	names  []string // of gateways; "" is what is of none
	liar   *liar    // nil if the hubs are listed
	clean  bool     // no invalid samples are drawn
	asking sync.WaitGroup

	// The exporter that runs now.
	e       *Exporter
	reg     *prometheus.Registry
	watched *watchedTransport
	cancel  context.CancelFunc
	ended   chan error

	earlier snapshot // of those before, summed up where it matters
}

// bubble runs a schedule in a bubble. Its goroutines have the seed as a label: a
// panic in one of them prints it with the stack. So does a schedule that runs on and
// on at one moment of virtual time.
func bubble(t *testing.T, seed uint64, total *coverage) {
	hangs := time.AfterFunc(time.Minute, func() {
		panic(fmt.Sprintf("a schedule does not end, replay with: go test ./exporter -run Simulation -seed=%d", seed))
	})
	defer hangs.Stop()
	labels := pprof.Labels("seed", strconv.FormatUint(seed, 10))
	pprof.Do(t.Context(), labels, func(context.Context) {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed, total) })
	})
}

// simulate runs one schedule.
func simulate(t *testing.T, seed uint64, total *coverage) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := &schedule{t: t, seed: seed, rnd: rnd, ledger: newLedger()}
	s.net = &network{Network: exportertest.NewNetwork(), ledger: s.ledger, hubs: map[string]*exportertest.Hub{}}
	defer s.net.Close()
	defer s.abort()
	for i := range 1 + rnd.IntN(maxHubs) {
		s.net.add(fmt.Sprintf("hub-%d", i))
	}
	s.names = append(gateways(1+rnd.IntN(1+rnd.IntN(40))), "")
	s.configure()
	lives := 1
	if s.cfg.SpoolDir != "" {
		lives += rnd.IntN(3)
	}
	for life := range lives {
		s.live(life == 0, life == lives-1)
	}
	total.add(s.ledger.seen)
}

// abort ends an exporter that still runs because the schedule has failed.
func (s *schedule) abort() {
	if s.cancel == nil {
		return
	}
	s.cancel()
	s.net.Close()
	select {
	case <-s.ended:
	case <-time.After(time.Hour):
	}
	s.asking.Wait()
}

// configure draws a config.
func (s *schedule) configure() {
	rnd := s.rnd
	c := &s.cfg
	c.MaxQueueBytes = 5_000 + rnd.IntN(1+rnd.IntN(300_000))
	c.BatchBytes = min(200+rnd.IntN(1+rnd.IntN(20_000)), c.MaxQueueBytes)
	c.BatchWait = time.Duration(1 + rnd.IntN(500*int(time.Millisecond)))
	c.Senders = 1 + rnd.IntN(4)
	c.PushTimeout = time.Duration(500+rnd.IntN(4000)) * time.Millisecond
	c.FlushTimeout = time.Duration(1+rnd.IntN(20)) * time.Second
	c.MaxBackoff = time.Duration(1+rnd.IntN(5)) * time.Second
	c.CatchUp = 1.1 + 4*rnd.Float64()
	c.AsGauges = rnd.IntN(3) == 0
	c.Overflow = OverflowPolicy(rnd.IntN(2))
	c.Failover = FailoverPolicy(rnd.IntN(2) * rnd.IntN(2))
	if rnd.IntN(5) == 0 {
		c.SpoolDir = s.t.TempDir()
		c.SpoolBytes = []int64{int64(20_000 + rnd.IntN(1_000_000)), plentyOfSpool}[rnd.IntN(2)]
	}
	random := &lockedRand{rnd: rand.New(rand.NewPCG(s.seed, 2))}
	c.random, c.newRing = random.int64N, knownRing
	var hubs []Hub
	for _, name := range s.net.names() {
		hubs = append(hubs, Hub{URL: "http://" + name})
	}
	if rnd.IntN(3) > 0 {
		c.Hubs = hubs
	} else {
		s.liar = &liar{ledger: s.ledger, random: random}
		s.liar.set(hubs, false)
		c.Members = s.liar
		c.MembersInterval = time.Duration(200+rnd.IntN(2000)) * time.Millisecond
		c.MembersHold = time.Duration(500+rnd.IntN(8000)) * time.Millisecond
	}
	if rnd.IntN(4) == 0 {
		interval := time.Duration(500+rnd.IntN(5000)) * time.Millisecond
		c.Gather = []Gather{{Interval: interval, Gatherer: prometheus.GathererFunc(s.gather), Context: &GatewayMetricContext{"n", "self"}}}
	}
	c.Logger = slog.New(slog.DiscardHandler)
	if *seed != 0 {
		c.Logger = slog.New(slog.NewTextHandler(logWriter{s.ledger}, nil))
	}
	s.ledger.note("queue %d, batch %d in %s, %d senders, timeout %s, flush %s, overflow %d, failover %d, gauges %v, spool %d, members %v, gather %v, %d hubs, %d gateways",
		c.MaxQueueBytes, c.BatchBytes, c.BatchWait, c.Senders, c.PushTimeout, c.FlushTimeout, c.Overflow, c.Failover, c.AsGauges, c.SpoolBytes,
		s.liar != nil, len(c.Gather) > 0, len(hubs), len(s.names)-1)
}

// logWriter puts the exporter's log lines between the events.
type logWriter struct{ l *ledger }

func (w logWriter) Write(line []byte) (int, error) {
	w.l.note("  %s", line)
	return len(line), nil
}

// live is the life of one exporter.
func (s *schedule) live(first, last bool) {
	s.begin()
	if !first {
		s.ledger.reached("restarted")
	}
	for range 5 + s.rnd.IntN(20) {
		for range s.rnd.IntN(3) {
			s.mischief()
		}
		s.activity()
		s.pass(time.Duration(s.rnd.IntN([]int{20, 500, 3000, 10_000}[s.rnd.IntN(4)])) * time.Millisecond)
		s.check()
	}
	recovered := last && (s.cfg.SpoolDir != "" || s.rnd.IntN(2) == 0)
	if recovered {
		s.recover()
	}
	s.end(recovered)
}

// begin starts an exporter.
func (s *schedule) begin() {
	s.ledger.note("begin")
	s.ledger.mu.Lock()
	s.ledger.sent = 0
	s.ledger.mu.Unlock()
	s.reg = prometheus.NewRegistry()
	cfg := s.cfg
	cfg.Registerer = s.reg
	filled := cfg.withDefaults()
	s.watched = newWatchedTransport(s.net.Transport(), s.ledger, &filled)
	cfg.Transport = s.watched
	var err error
	if s.e, err = New(cfg); err != nil {
		s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel, s.ended = cancel, make(chan error, 1)
	go func() { s.ended <- s.e.Run(ctx) }()
	synctest.Wait()
	restored := s.now().account.restored
	if restored != uint64(s.earlier.spoolSamples) {
		s.ledger.breaks("%d samples were restored, of %d that were left", restored, s.earlier.spoolSamples)
	}
	s.ledger.reachedIf(restored > 0, "restored")
}

// pass lets virtual time pass.
func (s *schedule) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// now is the exporter as it is.
func (s *schedule) now() snapshot { return s.e.router.snapshot(time.Now()) }

// fatal ends the schedule if a promise was broken.
func (s *schedule) fatal() {
	if faults := s.ledger.faults(); faults != "" {
		s.t.Fatalf("replay with: go test ./exporter -run Simulation -seed=%d\n%s", s.seed, faults)
	}
}

// check checks all that must hold at any time.
func (s *schedule) check() {
	for _, fault := range checkRouter(s.e.router) {
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
	for why := rejected400; why < numReasons; why++ {
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
	gathered := l.gathered - int(a.dropped[submitFull]+before.dropped[submitFull]) - int(a.dropped[submitClosed]+before.dropped[submitClosed]) -
		int(a.dropped[submitCancelled]+before.dropped[submitCancelled]) + l.refused
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
	for why := range numReasons {
		n := int(a.dropped[why] + before.dropped[why])
		switch {
		case why >= rejected400 && why <= rejected422:
			rejected += n
		case why < submitFull:
			invalid += n
		case why == overflow && s.cfg.Overflow == RefuseNew && n > 0, why == spoolDamaged && n > 0:
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

// recover makes everything well and waits until all is delivered.
func (s *schedule) recover() {
	s.ledger.note("recover")
	s.ledger.reached("recovered")
	for _, name := range s.net.names() {
		s.watched.crowd(name, "")
	}
	s.net.recover()
	if s.liar != nil {
		s.liar.set(s.liar.truth, true)
	}
	// The longest that a hub may ask for, then all that backs off.
	s.pass(maxRetryAfter + s.cfg.MembersHold + 3*s.cfg.MembersInterval + 30*time.Second)
	s.check()
	for range 20 { // it catches up
		if now := s.now(); now.age <= s.cfg.BatchWait {
			break
		}
		s.pass(30 * time.Second)
	}
	for _, h := range s.now().hubs {
		if h.state == hubDown {
			s.ledger.breaks("%s is well, and is held to be down", h.name)
		}
	}
	s.prompt("what was queued")
	if s.liar != nil && len(s.now().hubs) != len(s.liar.truth) {
		s.ledger.breaks("the hubs are %v, and %d are in the ring", s.liar.truth, len(s.now().hubs))
	}
	for _, h := range s.now().hubs {
		if s.liar != nil && !slices.ContainsFunc(s.liar.truth, func(t Hub) bool { return t.URL == h.url }) {
			s.ledger.breaks("%s is in the ring, and the hubs are %v", h.url, s.liar.truth)
		}
	}
	items, reports := s.draw(s.names)
	s.submit(items, reports)
	s.pass(s.cfg.BatchWait)
	s.prompt("what was submitted in time")
	items, reports = s.draw(s.names)
	s.submit(items, reports)
	s.flush(time.Millisecond)
	s.pass(2 * time.Millisecond)
	s.prompt("what was flushed")
	s.delivered(reports)
	items, reports = s.draw(s.names)
	s.push(items, reports, time.Millisecond)
	s.pass(2 * time.Millisecond)
	s.prompt("what was pushed")
	s.delivered(reports)
	s.check()
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

// end ends the exporter's life and checks the last account.
func (s *schedule) end(recovered bool) {
	s.ledger.note("end")
	s.watched.end()
	began, before := time.Now(), s.now()
	if !recovered {
		s.late()
	}
	s.cancel()
	var err error
	select {
	case err = <-s.ended:
		s.ended <- err
	case <-time.After(time.Hour):
		s.ledger.breaks("Run does not end")
		s.fatal()
	}
	s.asking.Wait()
	synctest.Wait()
	if took := time.Since(began); took > s.cfg.FlushTimeout+time.Millisecond {
		s.ledger.breaks("Run took %s to end, and FlushTimeout is %s", took, s.cfg.FlushTimeout)
	}
	if took := time.Since(began); took > time.Millisecond && recovered {
		s.ledger.breaks("all hubs are well, and Run took %s to end", took)
	}
	now := s.now()
	s.leftOver(err, now, recovered)
	s.check()
	s.scrape()
	s.ledger.reachedIf(before.samples > 0 && err != nil, "ended in an outage")
	s.ledger.reachedIf(recovered, "ended with all delivered")
	for _, submit := range []func() error{
		func() error { return s.e.Submit(context.Background(), nil) },
		func() error { return s.e.Flush(context.Background()) },
	} {
		if err := submit(); err != nil && !errors.Is(err, ErrClosed) {
			s.ledger.breaks("after the end: %v", err)
		}
	}
	s.carryOver(now)
	s.cancel = nil
	s.fatal()
}

// late submits while Run's context ends, and while Run flushes.
func (s *schedule) late() {
	s.clean = true
	items, reports := s.draw(s.names)
	more, moreReports := s.draw(s.names)
	s.clean = false
	s.asking.Go(func() { s.submit(items, reports) })
	s.asking.Go(func() {
		time.Sleep(100 * time.Millisecond)
		s.submit(more, moreReports)
	})
}

// leftOver checks what Run returned.
func (s *schedule) leftOver(err error, now snapshot, recovered bool) {
	var left *UndeliveredError
	undelivered := int(now.account.dropped[undelivered])
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
	case undelivered > 0 && s.cfg.SpoolBytes == plentyOfSpool:
		s.ledger.breaks("SpoolDir has room, and Run says %v", err)
	}
	if open := s.ledger.openBefore(s.ledger.next()); recovered && open > s.dropped(now) {
		s.ledger.breaks("no hub has answered for %d samples, and %d are dropped", open, s.dropped(now))
	}
}

// dropped counts the accepted samples that were dropped without a hub's word.
func (s *schedule) dropped(now snapshot) int {
	n := 0
	for why := rejected429; why < numReasons; why++ {
		n += int(now.account.dropped[why] + s.earlier.account.dropped[why])
	}
	return n
}

// carryOver adds an exporter that has ended to those before.
func (s *schedule) carryOver(now snapshot) {
	e := &s.earlier
	e.spoolSamples = now.spoolSamples
	e.account.submitted += now.account.submitted
	for why := range numReasons {
		e.account.dropped[why] += now.account.dropped[why]
	}
	if e.account.hubs == nil {
		e.account.hubs = map[string]*hubAccount{}
	}
	for name, h := range now.account.hubs {
		e.account.hub(name).delivered += h.delivered
	}
}

// mischief changes what one hub does, or who the hubs are.
func (s *schedule) mischief() {
	rnd := s.rnd
	names := s.net.names()
	name := names[rnd.IntN(len(names))]
	hub := s.net.hubs[name]
	seen := func(what string) {
		s.ledger.note("%s: %s", name, what)
		s.ledger.reached(what)
	}
	replies := func(what string, r exportertest.Reply) {
		seen(what)
		r.Delay = max(r.Delay, time.Duration(rnd.IntN(100)-50)*time.Millisecond)
		hub.Reply(r)
		if rnd.IntN(3) == 0 {
			hub.Reply(r)
		}
		if rnd.IntN(6) == 0 {
			hub.Always(r)
		}
	}
	header := http.Header{}
	if rnd.IntN(2) == 0 {
		header.Set("Retry-After", strconv.Itoa(rnd.IntN(20)*rnd.IntN(4)))
	}
	gateway := s.names[rnd.IntN(len(s.names))]
	switch rnd.IntN(30) {
	case 0, 1:
		seen("kill")
		s.net.Kill(name)
	case 2, 3, 4, 5:
		seen("start")
		s.net.Start(name)
		hub.Recover()
	case 6:
		seen("freeze")
		s.net.Freeze(name)
	case 7, 8:
		seen("thaw")
		s.net.Thaw(name)
	case 9:
		seen("name gone")
		s.net.Remove(name)
		s.pass(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		s.net.add(name)
	case 10:
		replies("slow", exportertest.Reply{Delay: time.Duration(rnd.IntN(6000)) * time.Millisecond})
	case 11:
		replies("hang", exportertest.Reply{Hang: true})
	case 12:
		replies("lost acknowledgement", exportertest.Reply{Lost: true})
	case 13:
		replies("cut body", exportertest.Reply{CutAfter: rnd.IntN(3000) - 1})
	case 14:
		replies("kept and failed", exportertest.Reply{Kept: true, Status: 500 + rnd.IntN(5), Delay: time.Duration(rnd.IntN(6000)) * time.Millisecond})
	case 15:
		seen("poison")
		hub.Refuse(`gatewayID="` + gateway + `"`)
	case 16:
		seen("no poison")
		hub.Refuse("")
	case 17, 18:
		seen("gateway crowds")
		s.ledger.note("it is %q", gateway)
		s.watched.crowd(name, gateway)
	case 19:
		seen("not crowded")
		s.watched.crowd(name, "")
	case 20:
		seen("gzip advertised")
		hub.Advertise(rnd.IntN(2) == 0)
	case 21:
		seen("not ready")
		hub.Ready(exportertest.Reply{Status: 503, Header: header, Hang: rnd.IntN(3) == 0})
	case 22, 23:
		s.changeMembers()
	default:
		status := []int{302, 400, 413, 415, 422, 429, 429, 500, 503}[rnd.IntN(9)]
		header.Set("Location", "http://elsewhere/metrics")
		replies("answers "+strconv.Itoa(status), exportertest.Reply{Status: status, Header: header, Body: "no\n"})
	}
}

// changeMembers changes the truth.
func (s *schedule) changeMembers() {
	if s.liar == nil {
		return
	}
	s.ledger.reached("members changed")
	names := s.net.names()
	if len(names) < maxHubs && s.rnd.IntN(2) == 0 {
		s.net.add(fmt.Sprintf("hub-%d", len(names)))
		names = s.net.names()
	}
	var hubs []Hub
	uneven := s.rnd.IntN(2)
	for i, name := range names {
		if s.rnd.IntN(4) > 0 {
			hubs = append(hubs, Hub{URL: "http://" + name, Weight: float64(1 + i%2*uneven)})
		}
	}
	if len(hubs) == 0 {
		hubs = []Hub{{URL: "http://" + names[0]}}
	}
	s.ledger.note("members are %v", hubs)
	s.liar.set(hubs, false)
}

// activity is what a controller does at one moment.
func (s *schedule) activity() {
	rnd := s.rnd
	switch rnd.IntN(9) {
	case 0:
		s.tooLate()
	case 4:
		s.manySubmits()
	case 1:
		items, reports := s.draw(s.names)
		s.push(items, reports, time.Duration(1+rnd.IntN(8000))*time.Millisecond)
	case 2:
		s.flush(time.Duration(rnd.IntN(8000)) * time.Millisecond)
	case 3:
		return
	default:
		items, reports := s.draw(s.names)
		s.submit(items, reports)
	}
}

// tooLate submits with a context that has ended.
func (s *schedule) tooLate() {
	s.clean = true
	items, reports := s.draw(s.names)
	s.clean = false
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.e.Submit(ctx, items); !errors.Is(err, context.Canceled) {
		s.ledger.breaks("submit with a context that has ended: %v", err)
	}
	s.ledger.settle(reports, declined)
}

// manySubmits submits from several goroutines at once, each for gateways of its own.
func (s *schedule) manySubmits() {
	s.ledger.reached("submits side by side")
	n := min(1+s.rnd.IntN(4), len(s.names))
	var running sync.WaitGroup
	for i := range n {
		var mine []string
		for at := i; at < len(s.names); at += n {
			mine = append(mine, s.names[at])
		}
		var items [][]MetricAndContext
		var reports [][]*report
		for range 1 + s.rnd.IntN(3) {
			it, re := s.draw(mine)
			items, reports = append(items, it), append(reports, re)
		}
		running.Go(func() {
			for j := range items {
				s.submit(items[j], reports[j])
			}
		})
	}
	running.Wait()
}

func (s *schedule) submit(items []MetricAndContext, reports []*report) {
	err := s.e.Submit(context.Background(), items)
	s.submitted(err, reports)
}

// submitted notes what Submit returned, if it returned what it may.
func (s *schedule) submitted(err error, reports []*report) {
	state := accepted
	_, partly := errors.AsType[*RejectedError](err)
	switch {
	case errors.Is(err, ErrQueueFull):
		s.ledger.reached("queue full")
		state = declined
	case errors.Is(err, ErrClosed):
		s.ledger.reached("submitted too late")
		state = declined
	case err != nil && !partly:
		s.ledger.breaks("submit: %v", err)
	}
	s.ledger.settle(reports, state)
}

// push pushes, and lets a goroutine wait for the answer.
func (s *schedule) push(items []MetricAndContext, reports []*report, patience time.Duration) {
	s.ledger.note("push of %d reports", len(reports))
	e := s.e
	full := e.router.snapshot(time.Now()).account.dropped[submitFull]
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.asking.Go(func() {
		defer cancel()
		err := e.Push(ctx, items)
		done <- err
		_, partly := errors.AsType[*RejectedError](err)
		all, rejected := s.ledger.answered(reports)
		now := e.router.snapshot(time.Now())
		switch {
		case errors.Is(err, ErrQueueFull):
			return
		case errors.Is(err, ErrDropped):
			s.ledger.reached("push dropped")
			if all || s.dropped(now)+now.spoolSamples == 0 {
				s.ledger.breaks("push: %v, and nothing was dropped", err)
			}
		case errors.Is(err, context.DeadlineExceeded):
			s.ledger.reached("push gave up")
		case err == nil, partly && !rejected:
			s.ledger.reached("push acknowledged")
			if !all {
				s.ledger.breaks("push: %v, and no hub acknowledged all of it", err)
			}
		case partly:
			s.ledger.reached("push rejected")
		default:
			s.ledger.breaks("push: %v", err)
		}
	})
	synctest.Wait()
	// It has been taken in, or not; what comes of it is another matter.
	if e.router.snapshot(time.Now()).account.dropped[submitFull] > full {
		s.submitted(fmt.Errorf("not taken in: %w", ErrQueueFull), reports)
		return
	}
	s.submitted(nil, reports)
}

// flush flushes, and lets a goroutine wait for the end.
func (s *schedule) flush(patience time.Duration) {
	s.ledger.note("flush")
	e, before := s.e, s.ledger.next()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.asking.Go(func() {
		defer cancel()
		switch err := e.Flush(ctx); {
		case err == nil:
			s.ledger.reached("flush ended")
			if open, dropped := s.ledger.openBefore(before), s.dropped(e.router.snapshot(time.Now())); open > dropped {
				s.ledger.breaks("a flush has ended, no hub has answered for %d samples, and %d are dropped", open, dropped)
			}
		case errors.Is(err, ErrClosed):
			s.ledger.reached("flush closed")
		case errors.Is(err, context.DeadlineExceeded):
			s.ledger.reached("flush gave up")
		default:
			s.ledger.breaks("flush: %v", err)
		}
	})
	synctest.Wait()
}

// gather is a source of Config.Gather.
func (s *schedule) gather() ([]*dto.MetricFamily, error) {
	r := s.ledger.offer("self")
	f := &dto.MetricFamily{Name: proto.String("own"), Type: dto.MetricType_GAUGE.Enum(), Metric: []*dto.Metric{metricOf(r, dto.MetricType_GAUGE, "")}}
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	r.samples = 1
	s.ledger.gathered++
	s.ledger.seen["gathered"]++
	return []*dto.MetricFamily{f}, nil
}

// draw makes reports of some of the gateways, and notes them.
func (s *schedule) draw(from []string) (items []MetricAndContext, reports []*report) {
	rnd := s.rnd
	for g, gateway := range from {
		if rnd.IntN(3) == 0 {
			continue
		}
		r := s.ledger.offer(gateway)
		reports = append(reports, r)
		where := MetricContext{AdditionalContext: &GatewayMetricContext{"n", gateway}}
		if gateway == "" {
			where.AdditionalContext = nil
		}
		lines := 1
		if rnd.IntN(25) == 0 {
			lines = 1 + rnd.IntN(200)
		}
		for i := range 1 + rnd.IntN(3) {
			kind := kindsOfMetric[(g+i)%5]
			f := &dto.MetricFamily{Name: proto.String(fmt.Sprint("m", i)), Type: kind.Enum(), Help: proto.String("what it is")}
			for line := range lines {
				f.Metric = append(f.Metric, metricOf(r, kind, strconv.Itoa(line)))
				r.samples += linesOf[kind]
			}
			if !s.clean && rnd.IntN(20) == 0 {
				f.Metric = append(f.Metric, &dto.Metric{Label: []*dto.LabelPair{{Name: proto.String("0"), Value: proto.String("")}}})
				s.invalid(sampleCount(kindOf(kind), f.Metric[lines]))
			}
			items = append(items, MetricAndContext{f, where})
		}
	}
	s.ledger.note("%d reports: %s", len(reports), ids(reports))
	return items, reports
}

func (s *schedule) invalid(samples int) {
	s.ledger.mu.Lock()
	defer s.ledger.mu.Unlock()
	s.ledger.invalid += samples
	s.ledger.seen["invalid samples"]++
}

func ids(reports []*report) string {
	if len(reports) == 0 {
		return ""
	}
	return reports[0].text + "-" + reports[len(reports)-1].text
}

var (
	kindsOfMetric = [5]dto.MetricType{dto.MetricType_GAUGE, dto.MetricType_COUNTER, dto.MetricType_UNTYPED, dto.MetricType_HISTOGRAM, dto.MetricType_SUMMARY}
	linesOf       = map[dto.MetricType]int{
		dto.MetricType_GAUGE: 1, dto.MetricType_COUNTER: 1, dto.MetricType_UNTYPED: 1, dto.MetricType_HISTOGRAM: 5, dto.MetricType_SUMMARY: 3,
	}
)

// metricOf returns a metric of which every line has the report's id as value.
func metricOf(r *report, kind dto.MetricType, instance string) *dto.Metric {
	v, n := float64(r.id), uint64(r.id)
	m := &dto.Metric{TimestampMs: proto.Int64(firstTimestamp + int64(r.id))}
	if instance != "" {
		m.Label = []*dto.LabelPair{{Name: proto.String("part"), Value: &instance}}
	}
	switch kind {
	case dto.MetricType_GAUGE:
		m.Gauge = &dto.Gauge{Value: &v}
	case dto.MetricType_COUNTER:
		m.Counter = &dto.Counter{Value: &v}
	case dto.MetricType_UNTYPED:
		m.Untyped = &dto.Untyped{Value: &v}
	case dto.MetricType_HISTOGRAM, dto.MetricType_GAUGE_HISTOGRAM:
		m.Histogram = &dto.Histogram{SampleCount: &n, SampleSum: &v, Bucket: []*dto.Bucket{
			{UpperBound: proto.Float64(.5), CumulativeCount: &n}, {UpperBound: proto.Float64(1), CumulativeCount: &n},
		}}
	case dto.MetricType_SUMMARY:
		m.Summary = &dto.Summary{SampleCount: &n, SampleSum: &v, Quantile: []*dto.Quantile{{Quantile: proto.Float64(.5), Value: &v}}}
	}
	return m
}

var _ io.Writer = logWriter{}
