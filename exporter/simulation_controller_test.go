package exporter

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter/magma"
	"github.com/hubring/hubring/internal/spool"
)

// activity is what a controller does at one moment.
func (s *schedule) activity() {
	rnd := s.rnd
	switch rnd.IntN(11) {
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
	case 5, 6: // of one gateway, which is nobody else's affair
		items, reports := s.draw(s.names[rnd.IntN(len(s.names)):][:1])
		innocent := s.innocent(items)
		err := s.e.Submit(context.Background(), items)
		s.ledger.reachedIf(innocent, "submitted by an innocent")
		diskFull := s.cfg.SpoolPolicy == SpoolAll && s.cfg.SpoolBytes != plentyOfSpool
		if innocent && errors.Is(err, ErrQueueFull) && !diskFull && s.innocent(items) { // no hub's lanes have come meanwhile
			s.ledger.breaks("neither the hub nor the gateway has its part of the queue: %v", err)
		}
		s.submitted(err, reports)
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

// manySubmits submits from several goroutines at once.
func (s *schedule) manySubmits() {
	s.ledger.reached("submits side by side")
	s.beginSubmits().Wait()
}

// beginSubmits begins to submit from several goroutines, each for gateways of its own.
func (s *schedule) beginSubmits() (running *sync.WaitGroup) {
	n := min(1+s.rnd.IntN(4), len(s.names))
	running = &sync.WaitGroup{}
	for i := range n {
		var mine []string
		for at := i; at < len(s.names); at += n {
			mine = append(mine, s.names[at])
		}
		var items [][]magma.MetricAndContext
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
	return running
}

func (s *schedule) submit(items []magma.MetricAndContext, reports []*report) {
	e := s.e
	err := e.Submit(context.Background(), items)
	if s.killed.Load() == e {
		return // nobody hears of it
	}
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
	case errors.Is(err, ErrNotKept):
		s.ledger.reached("not kept")
		state = declined
		if s.well && !errors.Is(err, spool.ErrTooLarge) {
			s.ledger.breaks("the disk is well, and submit: %v", err)
		}
	case errors.Is(err, ErrClosed):
		s.ledger.reached("submitted too late")
		state = declined
	case err != nil && !partly:
		s.ledger.breaks("submit: %v", err)
	}
	s.ledger.settle(reports, state)
}

// push pushes, and lets a goroutine wait for the answer, which it passes on.
func (s *schedule) push(items []magma.MetricAndContext, reports []*report, patience time.Duration) <-chan error {
	s.ledger.note("push of %d reports", len(reports))
	e := s.e
	before := e.queue.Snapshot(time.Now()).Account
	full := notTaken(&before)
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.asking.Go(func() {
		defer cancel()
		err := e.Push(ctx, items)
		done <- err
		if s.killed.Load() == e {
			return
		}
		_, partly := errors.AsType[*RejectedError](err)
		all, rejected := s.ledger.answered(reports)
		now := e.queue.Snapshot(time.Now())
		switch {
		case errors.Is(err, ErrQueueFull), errors.Is(err, ErrNotKept):
			return
		case errors.Is(err, ErrDropped):
			s.ledger.reached("push dropped")
			if all || s.dropped(now)+now.SpoolSamples == 0 {
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
	if after := e.queue.Snapshot(time.Now()).Account; notTaken(&after) > full {
		s.submitted(fmt.Errorf("not taken in: %w", ErrQueueFull), reports)
	} else {
		s.submitted(nil, reports)
	}
	return done
}

// flush flushes, and lets a goroutine wait for the end, of which it tells.
func (s *schedule) flush(patience time.Duration) <-chan error {
	s.ledger.note("flush")
	e, before := s.e, s.ledger.next()
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	s.asking.Go(func() {
		defer cancel()
		err := e.Flush(ctx)
		done <- err
		switch {
		case s.killed.Load() == e:
		case err == nil:
			s.ledger.reached("flush ended")
			if open, dropped := s.ledger.openBefore(before), s.dropped(e.queue.Snapshot(time.Now())); open > dropped {
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
	return done
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
func (s *schedule) draw(from []string) (items []magma.MetricAndContext, reports []*report) {
	rnd := s.rnd
	for g, gateway := range from {
		if rnd.IntN(3) == 0 {
			continue
		}
		r := s.ledger.offer(gateway)
		reports = append(reports, r)
		where := magma.MetricContext{AdditionalContext: &magma.GatewayMetricContext{NetworkID: "n", GatewayID: gateway}}
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
				s.invalid(1) // without a value
			}
			items = append(items, magma.MetricAndContext{Family: f, Context: where})
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
