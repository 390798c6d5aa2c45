package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/proto"

	"github.com/hubring/hubring/cmd/demo/stack/account"
	"github.com/hubring/hubring/exporter/magma"
)

const (
	scrapedNetwork = "scraped"
	maxScrapeBytes = 32 << 20
)

// collector is a gateway that reports the metrics of a real exporter. Every
// sample gets the time of the scrape, as with honor_timestamps: false.
type collector struct {
	url     string
	gateway string
	client  *http.Client
	ledger  *account.Ledger
	groups  map[string]*account.Group
	logger  *slog.Logger
	failing string // the last failure, until a scrape succeeds
}

func newCollector(url string, number int, ledger *account.Ledger, logger *slog.Logger) *collector {
	gateway := fmt.Sprintf("scraped-%d", number)
	return &collector{
		url: url, gateway: gateway, client: &http.Client{}, ledger: ledger,
		groups: map[string]*account.Group{}, logger: logger.With("gateway", gateway, "url", url),
	}
}

// run scrapes and submits once in each interval until the context ends.
func (c *collector) run(ctx context.Context, interval time.Duration, submit submitter) {
	defer c.client.CloseIdleConnections()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		err := c.once(ctx, interval, submit)
		if ctx.Err() != nil {
			return
		}
		c.note(err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// note logs a failure once and not in every interval.
func (c *collector) note(err error) {
	switch {
	case err != nil && err.Error() != c.failing:
		c.failing = err.Error()
		c.logger.Warn("Scrape failed, it goes on trying", "error", err)
	case err == nil && c.failing != "":
		c.failing = ""
		c.logger.Warn("Scrape succeeds again")
	}
}

func (c *collector) once(ctx context.Context, timeout time.Duration, submit submitter) error {
	families, err := c.fetch(ctx, timeout)
	if err != nil {
		return err
	}
	at := time.Now().UnixMilli()
	items, keys := c.prepare(families, at)
	if len(keys) == 0 {
		return errors.New("the answer has no samples")
	}
	if !submit(ctx, items, len(keys)) {
		return nil // counted as refused
	}
	for _, key := range keys {
		group := c.groups[key]
		if group == nil {
			group = c.ledger.Define(c.gateway, true, []string{key}, nil)
			c.groups[key] = group
		}
		group.Record(at)
	}
	return nil
}

func (c *collector) fetch(ctx context.Context, timeout time.Duration) (map[string]*dto.MetricFamily, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "text/plain;version=0.0.4")
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %s", response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxScrapeBytes+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxScrapeBytes {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxScrapeBytes)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	// The parser refuses a last line without its end.
	families, err := parser.TextToMetricFamilies(io.MultiReader(strings.NewReader(string(body)), strings.NewReader("\n")))
	if err != nil {
		return nil, fmt.Errorf("parse the answer: %w", err)
	}
	return families, nil
}

// prepare stamps the metrics and returns them with the series that they make. A
// metric whose series another one has already is left out: the gateway's labels
// took the place of what told them apart.
func (c *collector) prepare(families map[string]*dto.MetricFamily, at int64) (items []magma.MetricAndContext, keys []string) {
	from := &magma.GatewayMetricContext{NetworkID: scrapedNetwork, GatewayID: c.gateway}
	seen := map[string]bool{}
	for _, family := range families {
		kept := family.Metric[:0]
		for _, m := range family.Metric {
			series := c.seriesOf(family, m)
			if seen[series[0]] {
				c.logger.Warn("Two metrics become one series; the second is left out", "series", series[0])
				continue
			}
			for _, key := range series {
				seen[key] = true
			}
			m.TimestampMs = proto.Int64(at)
			kept, keys = append(kept, m), append(keys, series...)
		}
		family.Metric = kept
		items = append(items, magma.MetricAndContext{
			Family:  family,
			Context: magma.MetricContext{MetricName: family.GetName(), AdditionalContext: from},
		})
	}
	return items, keys
}

// seriesOf returns the keys of the series that a metric makes.
func (c *collector) seriesOf(family *dto.MetricFamily, m *dto.Metric) []string {
	key := func(suffix string, extra ...string) string {
		b := labels.NewBuilder(labels.EmptyLabels())
		for _, pair := range m.Label {
			b.Set(pair.GetName(), pair.GetValue())
		}
		b.Set("gatewayID", c.gateway).Set("networkID", scrapedNetwork)
		if len(extra) == 2 {
			b.Set(extra[0], extra[1])
		}
		return account.Key(b.Set(model.MetricNameLabel, family.GetName()+suffix).Labels())
	}
	switch family.GetType() {
	case dto.MetricType_SUMMARY:
		keys := []string{key("_sum"), key("_count")}
		for _, q := range m.GetSummary().Quantile {
			keys = append(keys, key("", model.QuantileLabel, labels.FormatOpenMetricsFloat(q.GetQuantile())))
		}
		return keys
	case dto.MetricType_HISTOGRAM:
		keys := []string{key("_sum"), key("_count"), key("_bucket", model.BucketLabel, "+Inf")}
		for _, b := range m.GetHistogram().Bucket {
			if bound := labels.FormatOpenMetricsFloat(b.GetUpperBound()); bound != "+Inf" {
				keys = append(keys, key("_bucket", model.BucketLabel, bound))
			}
		}
		return keys
	default:
		return []string{key("")}
	}
}
