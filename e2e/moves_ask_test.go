package e2e

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/hubring/hubring/e2e/internal/promapi"
)

// askDelay is how far back the questions of each second look: all that was reported by then has been scraped.
const askDelay = 10 * time.Second

// question is an expression to which hubquery and one Prometheus must give the same answer.
type question struct {
	expr  string
	exact bool          // to the last bit; else to 1e-9
	back  time.Duration // it looks at what was before, beside the latest sample
}

// liveQuestions are asked each second.
var liveQuestions = []question{
	{`count(gw_info)`, true, 0},
	{`count({__name__=~"gw_.+"})`, true, 0},
	{`sum(gw_load)`, true, 0},
	{`avg(gw_load)`, true, 0},
	{`max(gw_load)`, true, 0},
	{`min(gw_load)`, true, 0},
	{`sum by (networkID, version) (gw_info)`, true, 0},
	{`gw_load{gatewayID=~"moves-0[0-9]"}`, true, 0},
	{`gw_load{gatewayID="moves-07"}`, true, 0},
	{`sum(cloud_jobs)`, true, 0},
	{`sum(count_over_time(gw_load[10s]))`, true, 10 * time.Second},
	{`sum(rate(gw_requests_total[15s]))`, false, 15 * time.Second},
	{`sum by (gatewayID) (increase(gw_requests_total{code="200"}[15s]))`, false, 15 * time.Second},
	{`histogram_quantile(0.9, sum by (le) (rate(gw_latency_seconds_bucket[15s])))`, false, 15 * time.Second},
}

// lastQuestions are asked in the end about the whole run, beside the others.
var lastQuestions = []question{
	{`gw_load`, true, 0},
	{`timestamp(gw_load)`, true, 0},
	{`gw_load offset 10s`, true, 10 * time.Second},
	{`gw_requests_total - gw_requests_total offset 15s`, true, 15 * time.Second},
	{`count_over_time(gw_load[10s])`, true, 10 * time.Second},
	{`sum_over_time(gw_load[10s])`, true, 10 * time.Second},
	{`max_over_time(gw_load[30s])`, true, 30 * time.Second},
	{`last_over_time(gw_load[5s])`, true, 5 * time.Second},
	{`changes(gw_load[20s])`, true, 20 * time.Second},
	{`resets(gw_requests_total[1m])`, true, time.Minute},
	{`rate(gw_requests_total[15s])`, false, 15 * time.Second},
	{`irate(gw_requests_total[15s])`, false, 15 * time.Second},
	{`deriv(gw_load[15s])`, false, 15 * time.Second},
	{`rate(gw_requests_total[1m])`, false, time.Minute},
	{`sum(increase(gw_requests_total[1m]))`, false, time.Minute},
	{`sum by (code) (rate(gw_requests_total[15s]))`, false, 15 * time.Second},
	{`sum by (gatewayID) (rate(gw_requests_total{code="500"}[15s])) / sum by (gatewayID) (rate(gw_requests_total[15s]))`, false, 30 * time.Second},
	{`histogram_quantile(0.9, sum by (gatewayID, le) (rate(gw_latency_seconds_bucket[15s])))`, false, 15 * time.Second},
	{`topk(3, sum by (gatewayID) (rate(gw_requests_total[15s])))`, false, 15 * time.Second},
	{`quantile(0.5, gw_load)`, false, 0},
	{`stddev(gw_load)`, false, 0},
	{`count_values("load", gw_load)`, true, 0},
	{`gw_load * on (gatewayID) group_left (version) gw_info`, true, 0},
	{`count by (version) (gw_load * on (gatewayID) group_left (version) gw_info)`, true, 0},
	{`sum(gw_load) / count(gw_info)`, true, 0},
	{`max_over_time(sum(rate(gw_requests_total[5s]))[20s:1s])`, false, 25 * time.Second},
	{`sum(max_over_time(gw_load[10s:500ms]))`, true, 10 * time.Second},
	{`gw_info offset 1m unless on (gatewayID) gw_info`, true, time.Minute},
	{`absent(gw_load{gatewayID="moves-99"})`, true, 0},
	{`absent(gw_load{gatewayID="moves-07"})`, true, 0},
	{`cloud_jobs`, true, 0},
	{`sum(rate(cloud_done_total[15s]))`, false, 15 * time.Second},
	{`sum(gw_load @ end())`, true, 0},
}

// difference says in what two answers differ, or nothing. Series that only one has differ.
func (q question) difference(got, want map[string]float64) string {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		g, there := got[key]
		switch w := want[key]; {
		case !there:
			return fmt.Sprintf("%s is missing, which is %v (%d series, not %d)", key, w, len(got), len(want))
		case !q.same(g, w):
			return fmt.Sprintf("%s is %v, not %v", key, g, w)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, there := want[key]; !there {
			return fmt.Sprintf("%s is %v, and should not be there (%d series, not %d)", key, got[key], len(got), len(want))
		}
	}
	return ""
}

func (q question) same(a, b float64) bool {
	if math.Float64bits(a) == math.Float64bits(b) || math.IsNaN(a) && math.IsNaN(b) {
		return true
	}
	return !q.exact && math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b), 1e-9)
}

// asker asks hubquery and one Prometheus the same each second. An answer that differs is asked again until it
// does not.
type asker struct {
	hubquery, reference *promapi.Client
	alerts              *alerts

	cancel context.CancelFunc
	done   chan struct{}

	mu      sync.Mutex
	rounds  int
	asked   int
	open    map[*miss]bool // those that are wrong still
	late    []*miss
	refused []refusal
	longest time.Duration // of one round
}

// miss is an answer that was not that of one Prometheus.
type miss struct {
	question
	at    time.Time // that was asked about
	asked time.Time // when
	fault string    // of the first answer
	last  string    // of the latest one
	right time.Time // when it was asked again and was right
}

// refusal is a question that hubquery did not answer.
type refusal struct {
	at  time.Time
	err error
}

func startAsker(t *testing.T, hubquery, reference *promapi.Client, alerts *alerts) *asker {
	ctx, cancel := context.WithCancel(t.Context())
	a := &asker{hubquery: hubquery, reference: reference, alerts: alerts, open: map[*miss]bool{}, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(a.done)
		a.run(ctx)
	}()
	t.Cleanup(a.stop)
	return a
}

func (a *asker) stop() {
	a.cancel()
	<-a.done
}

func (a *asker) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for round := 0; ; round++ {
		began := time.Now()
		// In turn at other times of the second, that of a gateway's report and the one right before
		// it among them.
		offset := []time.Duration{0, 250, 499, 31, 30, 750}[round%6] * time.Millisecond
		a.ask(ctx, began.Truncate(time.Second).Add(offset-askDelay))
		if ctx.Err() != nil {
			return
		}
		a.mu.Lock()
		a.rounds++
		a.longest = max(a.longest, time.Since(began))
		a.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// ask asks every question about a time, and again those whose answers differed.
func (a *asker) ask(ctx context.Context, at time.Time) {
	a.mu.Lock()
	again := slices.Collect(maps.Keys(a.open))
	a.mu.Unlock()
	var g errgroup.Group
	g.SetLimit(4)
	for _, q := range liveQuestions {
		g.Go(func() error { a.once(ctx, &miss{question: q, at: at, asked: time.Now()}); return nil })
	}
	for _, m := range again {
		g.Go(func() error { a.once(ctx, m); return nil })
	}
	for _, rule := range a.alerts.rules {
		g.Go(func() error { a.alerts.look(ctx, a, rule, at); return nil })
	}
	_ = g.Wait() // no question returns an error
}

// once asks a question.
func (a *asker) once(ctx context.Context, m *miss) {
	want, err := a.reference.VectorAt(ctx, m.expr, m.at)
	var got model.Vector
	if err == nil {
		got, err = a.hubquery.VectorAt(ctx, m.expr, m.at)
	}
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	if err != nil {
		a.refused = append(a.refused, refusal{time.Now(), err})
		a.open[m] = true
		if m.fault == "" {
			m.fault = err.Error()
		}
		return
	}
	m.last = m.difference(instant(got), instant(want))
	switch {
	case m.last != "":
		if m.fault == "" {
			m.fault = m.last
		}
		a.open[m] = true
	case m.fault != "":
		m.right = time.Now()
		delete(a.open, m)
		a.late = append(a.late, m)
	}
}

func instant(v model.Vector) map[string]float64 {
	out := make(map[string]float64, len(v))
	for _, s := range v {
		out[s.Metric.String()] = float64(s.Value)
	}
	return out
}

// await waits for n more rounds of questions.
func (a *asker) await(t *testing.T, n int) {
	t.Helper()
	a.mu.Lock()
	want := a.rounds + n
	a.mu.Unlock()
	eventually(t, patience+time.Duration(n)*2*time.Second, func(context.Context) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.rounds < want {
			return fmt.Errorf("%d rounds of questions were asked, not yet %d", a.rounds, want)
		}
		return nil
	})
}

// awaitRight waits until no answer is wrong any more but for times between from and to.
func (a *asker) awaitRight(t *testing.T, from, to time.Time) {
	t.Helper()
	eventually(t, patience, func(context.Context) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		for m := range a.open {
			if m.at.Before(from) || m.at.After(to) {
				return fmt.Errorf("%s at %s: %s", m.expr, clock(m.at), m.last)
			}
		}
		return nil
	})
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// wrong is a step of a range at which an answer was not that of one Prometheus.
type wrong struct {
	question
	at    time.Time
	fault string
}

// compare asks a question over a range of both, and returns where the answers differ.
func compare(ctx context.Context, got, want *promapi.Client, q question, from, to time.Time, step time.Duration) ([]wrong, error) {
	w, err := want.Range(ctx, q.expr, from, to, step)
	if err != nil {
		return nil, err
	}
	g, err := got.Range(ctx, q.expr, from, to, step)
	if err != nil {
		return nil, err
	}
	wants, gots := bySteps(w), bySteps(g)
	var all []wrong
	for at := from; !at.After(to); at = at.Add(step) {
		if fault := q.difference(gots[at.UnixMilli()], wants[at.UnixMilli()]); fault != "" {
			all = append(all, wrong{q, at, fault})
		}
	}
	if len(wants) == 0 && len(gots) > 0 {
		return all, fmt.Errorf("%s: one Prometheus has no answer", q.expr)
	}
	return all, nil
}

func bySteps(m model.Matrix) map[int64]map[string]float64 {
	steps := map[int64]map[string]float64{}
	for _, series := range m {
		name := series.Metric.String()
		for _, p := range series.Values {
			at := int64(p.Timestamp)
			if steps[at] == nil {
				steps[at] = map[string]float64{}
			}
			steps[at][name] = float64(p.Value)
		}
	}
	return steps
}

// requireSame asks all questions over a range, in several steps and lookbacks, and requires that all answers
// are those of one Prometheus, but for some time since a crash; it returns how long that was.
func requireSame(t *testing.T, hubquery, reference *promapi.Client, from, to, crash time.Time) {
	t.Helper()
	type way struct {
		step     time.Duration
		lookback string
	}
	began := time.Now()
	asked, steps := 0, 0
	var first, last time.Time // of what differs, by the samples that it is about
	for _, w := range []way{{time.Second, ""}, {250 * time.Millisecond, ""}, {time.Second, "10s"}} {
		got, want := hubquery, reference
		if w.lookback != "" {
			got, want = got.With("lookback_delta", w.lookback), want.With("lookback_delta", w.lookback)
		}
		for _, q := range slices.Concat(liveQuestions, lastQuestions) {
			faults, err := compare(t.Context(), got, want, q, from, to, w.step)
			require.NoError(t, err)
			asked++
			steps += int(to.Sub(from)/w.step) + 1
			for _, f := range faults {
				if f.at.Before(crash.Add(-lossWindow)) || f.at.After(crash.Add(crashLimit)) {
					require.Fail(t, "not the answer of one Prometheus", "%s at %s (%s after the crash), step %s, lookback %q: %s; and at %d more times",
						q.expr, clock(f.at), f.at.Sub(crash).Round(time.Millisecond), w.step, w.lookback, f.fault, len(faults)-1)
				}
				if first.IsZero() || f.at.Before(first) {
					first = f.at
				}
				if at := f.at.Add(-q.back); at.After(last) {
					last = at
				}
			}
		}
	}
	t.Logf("%d questions over %s, %d answers, were those of one Prometheus (asked within %s)", asked, to.Sub(from).Round(time.Second), steps, time.Since(began).Round(time.Second))
	if !last.IsZero() {
		t.Logf("but for what was lost with the hub: samples from %s to %s after the crash", first.Sub(crash).Round(time.Millisecond), last.Sub(crash).Round(time.Millisecond))
	}
}
