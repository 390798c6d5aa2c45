// Package fleet is the controllers' side of the end-to-end suite: it collects
// the metrics of real exporters as gateways would report them, submits them
// through the exporter under test, and keeps a ledger of every sample.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/exporter"
	"github.com/hubring/hubring/exporter/magma"
)

// Network is the networkID of every gateway.
const Network = "e2e"

// Member is one gateway or, when Gateway is empty, one cloud service.
type Member struct {
	Gateway   string
	CloudHost string
	URL       string // whose metrics it reports
}

// context is what the exporter is told about the member's metrics.
func (m Member) context() magma.AdditionalMetricContext {
	if m.Gateway == "" {
		return &magma.CloudMetricContext{CloudHost: m.CloudHost}
	}
	return &magma.GatewayMetricContext{NetworkID: Network, GatewayID: m.Gateway}
}

// labels are those that the context puts on every series.
func (m Member) labels() model.LabelSet {
	if m.Gateway == "" {
		return model.LabelSet{"cloudHost": model.LabelValue(m.CloudHost)}
	}
	return model.LabelSet{"networkID": Network, "gatewayID": model.LabelValue(m.Gateway)}
}

// Config says who reports where.
type Config struct {
	Members  []Member
	Interval time.Duration // between two reports of a member
	// Controllers are the exporters that every member's reports go through in
	// turn: to the ring it must not matter which one.
	Controllers []*exporter.Exporter
}

// Fleet is a set of members that report.
type Fleet struct {
	Ledger *Ledger

	cfg        Config
	stopReport context.CancelFunc
	reported   chan error
	stopRun    context.CancelFunc
	ran        chan error
}

// Start starts the controllers and the reports. The caller must Stop it.
func Start(cfg Config) *Fleet {
	runCtx, stopRun := context.WithCancel(context.Background())
	reportCtx, stopReport := context.WithCancel(context.Background())
	f := &Fleet{
		Ledger: newLedger(), cfg: cfg,
		stopRun: stopRun, ran: make(chan error, 1),
		stopReport: stopReport, reported: make(chan error, 1),
	}
	go func() { f.ran <- f.run(runCtx) }()
	go func() { f.reported <- f.report(reportCtx) }()
	return f
}

// Stop ends the reports, then the controllers, which flush what they hold. It
// returns what went wrong since Start: a report that could not be collected or
// submitted, or samples that could not be delivered.
func (f *Fleet) Stop() error {
	f.stopReport()
	reported := <-f.reported
	f.stopRun()
	return errors.Join(reported, <-f.ran)
}

// run runs the controllers until the context ends and they have flushed.
func (f *Fleet) run(ctx context.Context) error {
	errs := make([]error, len(f.cfg.Controllers))
	var g errgroup.Group
	for i, e := range f.cfg.Controllers {
		g.Go(func() error {
			if err := e.Run(ctx); err != nil {
				errs[i] = fmt.Errorf("controller %d: %w", i, err)
			}
			return nil
		})
	}
	_ = g.Wait() // each error is in errs
	return errors.Join(errs...)
}

// report has every member report at each interval until the context ends or a
// report fails.
func (f *Fleet) report(ctx context.Context) error {
	tick := time.NewTicker(f.cfg.Interval)
	defer tick.Stop()
	for round := 0; ; round++ {
		var g errgroup.Group
		g.SetLimit(4)
		for i, m := range f.cfg.Members {
			controller := f.cfg.Controllers[(round+i)%len(f.cfg.Controllers)]
			g.Go(func() error {
				if err := f.reportOne(m, controller); err != nil {
					return fmt.Errorf("report %q %q: %w", m.Gateway, m.CloudHost, err)
				}
				return nil
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reportOne collects the member's metrics, stamps and submits them. A report
// that has begun is finished: the context of the reports does not reach it.
func (f *Fleet) reportOne(m Member, controller *exporter.Exporter) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	families, err := Collect(ctx, m.URL)
	if err != nil {
		return err
	}
	at := time.Now().UnixMilli()
	batch := make([]magma.MetricAndContext, 0, len(families))
	for _, family := range families {
		for _, metric := range family.Metric {
			metric.TimestampMs = proto.Int64(at)
		}
		batch = append(batch, magma.MetricAndContext{
			Family:  family,
			Context: magma.MetricContext{MetricName: family.GetName(), AdditionalContext: m.context()},
		})
	}
	if err := f.Ledger.enter(m, at, families); err != nil {
		return err
	}
	if err := controller.Submit(ctx, batch); err != nil {
		return fmt.Errorf("submit: %w", err)
	}
	return nil
}

// Collect gets and parses the metrics of an exporter, sorted by name.
func Collect(ctx context.Context, url string) ([]*dto.MetricFamily, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: answered %s", url, resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", url, err)
	}
	families := make([]*dto.MetricFamily, 0, len(byName))
	for _, family := range byName {
		families = append(families, family)
	}
	slices.SortFunc(families, func(a, b *dto.MetricFamily) int {
		return strings.Compare(a.GetName(), b.GetName())
	})
	return families, nil
}
