package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/hubring/hubring/cmd/demo/stack/fleet"
)

const (
	// gatewaySeries is the query that shows whether a moved gateway is counted
	// once.
	gatewaySeries = `count({gatewayID!=""})`
	// guestSeries are those of gateways that are not the demo's: somebody else
	// may push to a hub, too.
	guestSeries = `count({gatewayID!~"|gw-[0-9]+|scraped-[0-9]+"})`
)

// watch is what the live check found so far. One goroutine uses it at a time.
type watch struct {
	complete  bool // every gateway's series have been seen
	mostTwice int  // the largest excess over the series that exist
	gap       int  // the most that were missing after all had been seen
}

// tell prints a line for people.
func (d *demo) tell(format string, args ...any) {
	d.screen.Lock()
	defer d.screen.Unlock()
	say(d.Out, format, args...)
}

// event prints a line with the time since the start.
func (d *demo) event(format string, args ...any) {
	d.tell("%6s  %s", d.elapsed(), fmt.Sprintf(format, args...))
}

func (d *demo) elapsed() string { return time.Since(d.started).Round(time.Second).String() }

// introduce says where everything is.
func (d *demo) introduce() {
	note := ""
	if d.Listen == "" && d.address != defaultListen {
		note = fmt.Sprintf(" (%s is taken)", defaultListen)
	}
	var hubs []string
	for _, h := range d.hosts {
		hubs = append(hubs, "http://"+h.addr)
	}
	d.tell(`
Prometheus' query API over all shards: http://%[1]s%[2]s
Point Grafana or promtool at it, or try:
  curl -s http://%[1]s/api/v1/query --data-urlencode 'query=%[3]s'
  curl -s http://%[1]s/api/v1/query --data-urlencode 'query=sum by (networkID) (rate(core_downlink_bytes_total[1m]))'
  curl -s http://%[1]s/api/v1/label/gatewayID/values
Hubs: %[4]s
The exporter's status: http://%[1]s%[5]s
`, d.address, note, gatewaySeries, strings.Join(hubs, " "), statusPath)
}

// report prints a line of figures in every interval, of a second at least, until
// the context ends.
func (d *demo) report(ctx context.Context) {
	every := d.scrapeInterval()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		count, err := d.check(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			d.Logger.Warn("The query API did not answer", "error", err)
		}
		d.printFigures(count)
		ticker.Reset(every) // two lines at once help nobody
	}
}

// check asks the query API for the number of the gateways' series and compares
// the answer with what had been submitted when it came.
func (d *demo) check(ctx context.Context) (count int, err error) {
	now := time.Now()
	if count, err = d.count(ctx, gatewaySeries, now); err != nil {
		return 0, err
	}
	excess := count - d.ledger.Totals().GatewaySeries
	if excess > 0 {
		guests, err := d.count(ctx, guestSeries, now)
		if err != nil {
			return count, err
		}
		excess -= guests
	}
	d.watch.mostTwice = max(d.watch.mostTwice, excess)
	simulated := d.Gateways * fleet.GatewaySeries
	if d.watch.complete = d.watch.complete || count >= simulated; d.watch.complete {
		d.watch.gap = max(d.watch.gap, simulated-count)
	}
	return count, nil
}

func (d *demo) printFigures(count int) {
	f := d.figures()
	var series []string
	for _, s := range d.shards {
		series = append(series, thousands(s.SeriesCount()))
	}
	d.event("submitted %-11s accepted %-11s scraped %-11s lost %-3s series %s  query %s  hubs up %d/%d",
		thousands(f.submitted), thousands(f.accepted), thousands(f.scraped), thousands(f.lost),
		strings.Join(series, " + "), thousands(count), f.up, len(d.hosts))
}

// figures is what the parts count themselves. The account at the end does not
// rely on it.
type figures struct {
	submitted, accepted, scraped uint64
	lost                         uint64 // dropped, as far as anyone noticed
	behind                       int    // samples of which no shard has said that it has them
	up                           int
}

func (d *demo) figures() figures {
	f := figures{submitted: d.ledger.Totals().Samples, lost: d.droppedByExporter()}
	for _, h := range d.hosts {
		stats, up := h.stats()
		f.accepted += stats.Received
		f.scraped += stats.Scraped
		f.lost += stats.Dropped
		f.behind += stats.Behind
		if up {
			f.up++
		}
	}
	return f
}

// droppedByExporter counts what the exporter had taken in and then dropped.
func (d *demo) droppedByExporter() uint64 {
	return d.exporterCounter("hubring_exporter_samples_dropped_total", func(reason string) bool {
		return reason == "undelivered" || strings.HasPrefix(reason, "rejected")
	})
}

// exporterCounter adds up the series of one of the exporter's counters whose
// label value is wanted. A counter without labels has the value "".
func (d *demo) exporterCounter(name string, wanted func(value string) bool) uint64 {
	families, err := d.registry.Gather()
	if err != nil {
		d.Logger.Error("The exporter's metrics cannot be read", "error", err)
		return 0
	}
	var sum float64
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.Metric {
			value := ""
			if len(m.Label) > 0 {
				value = m.Label[0].GetValue()
			}
			if wanted(value) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return uint64(sum)
}

// count asks the query API, over HTTP as anyone else, for a query with one
// number as its answer. No answer is 0.
func (d *demo) count(ctx context.Context, query string, at time.Time) (int, error) {
	form := url.Values{"query": {query}, "time": {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.address+"/api/v1/query?"+form.Encode(), nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, err
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, fmt.Errorf("status %s: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("status %s: %s", response.Status, answer.Error)
	}
	if len(answer.Data.Result) == 0 {
		return 0, nil
	}
	text, _ := answer.Data.Result[0].Value[1].(string)
	return strconv.Atoi(text)
}

// thousands writes 1234567 as 1,234,567.
func thousands[N int | uint64](n N) string {
	text := strconv.FormatInt(int64(n), 10)
	start := 0
	if n < 0 {
		start = 1
	}
	for i := len(text) - 3; i > start; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
