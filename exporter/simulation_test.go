package exporter

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/pprof"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hubring/hubring/exporter/exportertest"
	"github.com/hubring/hubring/exporter/internal/queue"
	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/bubble"
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
		inBubble(t, *seed, total)
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
					t.Run(fmt.Sprintf("seed=%d", s), func(t *testing.T) { inBubble(t, uint64(s), total) })
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
const fullRun = 5000

var situations = []string{
	"kill", "start", "stop", "freeze", "thaw", "name gone", "slow", "slow for long", "hang", "lost acknowledgement", "cut body", "kept and failed",
	"answer 200", "answer 302", "answer 400", "answer 413", "answer 415", "answer 422", "answer 429", "answer 500", "answer 503", "no answer",
	"poison", "gateway refused by its hub", "halved", "gzip", "gzip taken back", "arrived again", "parcel beyond BatchBytes",
	"hub alive again", "probe failed", "trial failed", "hub catching up", "failover", "all hubs down",
	"dropped: rejected_400", "dropped: rejected_413", "dropped: rejected_422", "dropped: rejected_429", "dropped: queue_overflow",
	"dropped: undelivered", "dropped: queue_full", "queue full", "submitted too late", "invalid samples", "gathered", "submits side by side", "submitted by an innocent",
	"push acknowledged", "push rejected", "push dropped", "push gave up", "flush ended", "flush gave up", "flush closed",
	"killed", "power lost", "killed in the middle of Submits", "not kept", "restored after a kill", "disk locked", "disk full", "disk fails", "disk well", "spilled", "restarted", "restored", "ended in an outage", "ended with all delivered", "recovered",
	"hub told", "end told", "end unsupported", "end overtaken", "ends fail", "ended where it left", "arrived after it was given up",
	"answer of a stranger 200", "answer of a stranger 204", "answer of a stranger 302", "answer of a stranger 400", "answer of a stranger 404",
	"members changed", "lie: an error", "lie: nobody", "lie: one is missing", "lie: a stray one", "lie: another address", "lie: one twice", "lie: another placement", "lie: two placements", "placed otherwise", "lie: no answer", "told after it was given up",
}

// maxHubs bounds how many rings there are.
const maxHubs = 5

// plentyOfSpool is more than a schedule can fill.
const plentyOfSpool = 1 << 30

// schedule is one run of the simulation.
type schedule struct {
	t       *testing.T
	seed    uint64
	rnd     *rand.Rand // of the schedule's own goroutine
	ledger  *ledger
	net     *network
	cfg     Config
	names   []string // of gateways; "" is what is of none
	liar    *liar    // nil if the hubs are listed
	placing bool     // it names placements
	disk    faultyDisk
	clean   bool // no invalid samples are drawn
	asking  sync.WaitGroup
	well    bool // all is, from now on

	// The exporter that runs now.
	e       *Exporter
	reg     *prometheus.Registry
	watched *watchedTransport
	cancel  context.CancelFunc
	ended   chan error
	killed  atomic.Pointer[Exporter] // the latest that was

	earlier queue.Snapshot // of those before, summed up where it matters
}

// inBubble runs a schedule in a bubble. Its goroutines have the seed as a label: a
// panic in one of them prints it with the stack. So does a schedule that runs on and
// on at one moment of virtual time.
func inBubble(t *testing.T, seed uint64, total *coverage) {
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
	if rnd.IntN(4) == 0 {
		c.SpoolDir, c.openDisk = s.t.TempDir(), s.disk.open
		c.SpoolBytes = []int64{int64(20_000 + rnd.IntN(1_000_000)), plentyOfSpool}[rnd.IntN(2)]
		c.SpoolPolicy = SpoolPolicy(rnd.IntN(2))
	}
	c.EndsDelay = time.Duration(1 + rnd.IntN(1+rnd.IntN(int(time.Minute))))
	random := &lockedRand{rnd: rand.New(rand.NewPCG(s.seed, 2))}
	c.random, c.Ring = random.int64N, knownRing
	var hubs []Hub
	for _, name := range s.net.names() {
		hubs = append(hubs, Hub{URL: "http://" + name})
	}
	if rnd.IntN(3) > 0 {
		c.Hubs = hubs
	} else {
		s.liar = &liar{ledger: s.ledger, random: random}
		if s.placing = s.seed%4 == 1; s.placing {
			c.Ring = nil
		}
		s.liar.set(hubs, false)
		c.Members = s.liar
		c.MembersInterval = time.Duration(200+rnd.IntN(2000)) * time.Millisecond
		c.MembersHold = time.Duration(500+rnd.IntN(8000)) * time.Millisecond
	}
	if rnd.IntN(4) == 0 && c.SpoolPolicy == SpoolOverflow { // or a kill leaves open what became of some
		interval := time.Duration(500+rnd.IntN(5000)) * time.Millisecond
		c.Gather = []Gather{{Interval: interval, Gatherer: prometheus.GathererFunc(s.gather), Context: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: "self"}}}
	}
	c.Logger = slog.New(slog.DiscardHandler)
	if *seed != 0 {
		c.Logger = slog.New(slog.NewTextHandler(logWriter{s.ledger}, nil))
	}
	s.ledger.note("queue %d, batch %d in %s, %d senders, timeout %s, flush %s, overflow %d, failover %d, gauges %v, spool %d of %s, members %v, gather %v, %d hubs, %d gateways",
		c.MaxQueueBytes, c.BatchBytes, c.BatchWait, c.Senders, c.PushTimeout, c.FlushTimeout, c.Overflow, c.Failover, c.AsGauges, c.SpoolBytes, c.SpoolPolicy,
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
	if s.cfg.SpoolPolicy == SpoolAll && !last && s.rnd.IntN(3) > 0 {
		s.kill()
		return
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
	if s.cfg.SpoolDir != "" && s.earlier.SpoolSamples == 0 && s.rnd.IntN(3) == 0 { // what is there may come late, and out of order
		s.breakDisk("disk locked", true, false, false)
	}
	s.ledger.mu.Lock()
	s.ledger.sent = 0
	s.ledger.mu.Unlock()
	s.ledger.excuse()
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
	restored, killed := s.now().Account.Restored, s.killed.Load() != nil
	if left := uint64(s.earlier.SpoolSamples); restored < left || restored > left && !killed {
		s.ledger.breaks("%d samples were restored, of %d that were left", restored, left)
	}
	s.ledger.reachedIf(restored > 0, "restored")
	s.ledger.reachedIf(restored > 0 && killed, "restored after a kill")
}

// kill ends the exporter's life in the middle of whatever it does.
func (s *schedule) kill() {
	s.disk.slow(time.Duration(1+s.rnd.IntN(20)) * time.Millisecond)
	under := s.rnd.IntN(4) > 0
	if under {
		s.clean = true
		submits := s.beginSubmits()
		s.clean = false
		defer submits.Wait()
	}
	s.pass(time.Duration(s.rnd.IntN(40)) * time.Millisecond)
	s.ledger.note("kill")
	s.ledger.reached("killed")
	s.ledger.reachedIf(under, "killed in the middle of Submits")
	synctest.Wait()
	now := s.now()
	s.killed.Store(s.e)
	s.watched.kill()
	s.ledger.killed()
	power := s.rnd.IntN(2) == 0
	s.ledger.reachedIf(power, "power lost")
	s.cfg.SpoolDir = s.disk.kill(s.t, s.cfg.SpoolDir, power)
	s.disk.slow(0)
	now.SpoolSamples += now.Samples
	s.carryOver(now)
	s.cancel()
	select {
	case <-s.ended:
	case <-time.After(time.Hour):
		s.ledger.breaks("Run does not end")
	}
	s.cancel = nil
	s.fatal()
}

// pass lets virtual time pass.
func (s *schedule) pass(d time.Duration) {
	bubble.Pass(d)
}

// now is the exporter as it is.
func (s *schedule) now() queue.Snapshot { return s.e.queue.Snapshot(time.Now()) }

// fatal ends the schedule if a promise was broken.
func (s *schedule) fatal() {
	if faults := s.ledger.faults(); faults != "" {
		s.t.Fatalf("replay with: go test ./exporter -run Simulation -seed=%d\n%s", s.seed, faults)
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
	s.disk.set(false, false, false)
	s.well = false
	if s.liar != nil {
		s.liar.set(s.liar.truth, true)
	}
	// The longest that a hub may ask for, then all that backs off.
	s.pass(time.Minute + s.cfg.MembersHold + 3*s.cfg.MembersInterval + 30*time.Second)
	s.check()
	s.well = true
	for range 20 { // it catches up
		if now := s.now(); now.Age <= s.cfg.BatchWait {
			break
		}
		s.pass(30 * time.Second)
	}
	for _, h := range s.now().Hubs {
		if h.State == queue.HubDown {
			s.ledger.breaks("%s is well, and is held to be down", h.Name)
		}
	}
	s.prompt("what was queued")
	if s.liar != nil && len(s.now().Hubs) != len(s.liar.truth) {
		s.ledger.breaks("the hubs are %v, and %d are in the ring", s.liar.truth, len(s.now().Hubs))
	}
	if s.liar != nil {
		ring, err := s.cfg.baseRing(withDefaults(s.liar.truth))
		if err != nil {
			s.t.Fatal(err)
		}
		if got, want := s.e.fingerprint(), fmt.Sprintf("%016x", ring.Fingerprint()); got != want {
			s.ledger.breaks("the hubs %v make ring %s, and the ring is %s", s.liar.truth, want, got)
		}
	}
	for _, h := range s.now().Hubs {
		if s.liar != nil && !slices.ContainsFunc(s.liar.truth, func(t Hub) bool { return t.URL == h.URL }) {
			s.ledger.breaks("%s is in the ring, and the hubs are %v", h.URL, s.liar.truth)
		}
	}
	items, reports := s.draw(s.names)
	s.submit(items, reports)
	s.pass(s.cfg.BatchWait)
	s.prompt("what was submitted in time")
	items, reports = s.draw(s.names)
	s.submit(items, reports)
	flushed := s.flush(time.Millisecond)
	s.pass(2 * time.Millisecond)
	s.prompt("what was flushed")
	if err := <-flushed; err != nil {
		s.ledger.breaks("all hubs are well, and a flush: %v", err)
	}
	s.delivered(reports)
	items, reports = s.draw(s.names)
	pushed := s.push(items, reports, time.Millisecond)
	s.pass(2 * time.Millisecond)
	s.prompt("what was pushed")
	if err := <-pushed; errors.Is(err, context.DeadlineExceeded) {
		s.ledger.breaks("all hubs are well, and a push: %v", err)
	}
	s.delivered(reports)
	s.check()
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
	if recovered {
		s.checkEnds(now)
	}
	s.check()
	s.scrape()
	s.ledger.reachedIf(before.Samples > 0 && err != nil, "ended in an outage")
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
